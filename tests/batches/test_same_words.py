"""Page, file and command: the same visit has the same problems, whichever way it comes. Three hundred generated visits; and
intakes, which come by page and file."""

import json
import random
from collections.abc import Iterator
from datetime import date, time, timedelta
from html import unescape
from typing import Any
from uuid import uuid4

import pytest
from django.db import transaction

from quitledger.accounts.scope import scoped
from quitledger.batches.columns import Kind
from quitledger.batches.models import Row
from quitledger.batches.services import open_row
from quitledger.cases.rules import FTND_ITEMS
from quitledger.ops.visit_lines import VisitLine
from quitledger.ops.visits_command import _Names
from quitledger.policy import format_roc
from quitledger.visits.rules import Counselling, Entry, Line, Medication
from quitledger.visits.services import record_visit, record_visits

from .. import world
from ..portal.conftest import Browser, visit_page
from .files import INTAKE_TITLES, PERSON_TITLES, csv_of
from .scene import sent

CASES = 300
NAMES = {"示範甲": "T-0001", "示範乙": "T-0002", "示範丙": "T-0003", "示範丁": "T-0004"}
DAYS = [date(2025, 2, 10), date(2025, 3, 12), date(2025, 3, 20), date(2025, 3, 24), date(2025, 4, 1), date(2025, 4, 2), date(2001, 1, 1)]  # fmt: skip
STAFF = ["示範丑", "示範子", "示範寅", "示範卯", ""]
MEDICINES = [world.PATCH, world.GUM, world.OLD_MEDICINE, "NOWHERE"]
TITLES = [
    "病歷號", "就醫日期", "就醫時間", "服務", "用藥人員", "藥品代碼", "週數", "天數", "藥品代碼 2", "週數 2", "天數 2", "衛教人員", "衛教方式",
    "懷孕", "平均每日支數", "一氧化碳", "備註",
]  # fmt: skip
MODES = {"in_person": "面對面", "telephone": "電話"}


def generated() -> Iterator[dict[str, Any]]:
    """Visits as somebody could type them, of people of the world; the same ones in every run."""
    chance = random.Random(20250401)

    def usually(right: Any, otherwise: list[Any]) -> Any:
        return right if chance.random() < 0.75 else chance.choice(otherwise)

    for number in range(CASES):
        medicines = [
            (usually(world.PATCH, MEDICINES), usually(2, [0, 1, 4, 6]), usually(None, [14, 40]))
            for _ in range(usually(1, [0, 2]))
        ]
        yield {
            "number": number, "name": list(NAMES)[number % len(NAMES)], "day": usually(date(2025, 3, 14), DAYS),
            "time": usually(None, [time(9, 0), time(23, 59)]),
            "services": usually(["counselling"], [[], ["medication"], ["medication", "counselling"]]),
            "medicines": medicines, "medication_staff": usually("示範丑", STAFF), "counselling_staff": usually("示範子", STAFF),
            "mode": chance.choice(list(MODES)), "pregnant": chance.random() < 0.1,
            "cigarettes": usually(9, [None, 0, 999]), "co_ppm": usually(None, [8, 999]),
            "note": chance.choice(["", "好"]),
        }  # fmt: skip


@pytest.fixture
def known(db) -> None:
    """What is recorded before: a day of 示範甲, and one of 示範乙."""
    by = world.actor("recorder")
    with scoped(by):
        for name, day in (("示範甲", date(2025, 3, 20)), ("示範乙", date(2025, 3, 24))):
            entry = Entry(
                uuid4(), day, counselling=Counselling(world.staff("示範子").uid), cigarettes_per_day=7, note="在"
            )
            record_visit(case=world.case(name), entry=entry, by=by)


def uids() -> dict[str, Any]:
    with scoped(world.SYSTEM):
        return {name: world.staff(name).uid for name in STAFF if name}


def by_rules(case: dict[str, Any], staff: dict[str, Any]) -> list[tuple[str, str]]:
    """What the service says of it: the measure of all three."""
    by = world.actor("recorder")
    medication = counselling = None
    if "medication" in case["services"]:
        lines = tuple(Line(*medicine) for medicine in case["medicines"])
        medication = Medication(staff.get(case["medication_staff"]), lines)
    if "counselling" in case["services"]:
        counselling = Counselling(staff.get(case["counselling_staff"]), case["mode"])
    with scoped(by):
        entry = Entry(
            uuid4(), case["day"], case["time"], medication, counselling, case["pregnant"] and case["name"] in WOMEN,
            case["cigarettes"], case["co_ppm"], case["note"],
        )  # fmt: skip
        (outcome,) = record_visits([(world.case(case["name"]), entry)], by=by)
        transaction.set_rollback(True)
    return [(problem.code, str(problem.message)) for problem in outcome.problems]


WOMEN = {"示範乙", "示範丁"}


def row_of(case: dict[str, Any]) -> list[str]:
    """The visit as a row of a file."""
    labels = {"medication": "用藥", "counselling": "衛教"}
    medicines = (
        [*case["medicines"], ("", "", ""), ("", "", "")][:2] if "medication" in case["services"] else [("", "", "")] * 2
    )
    cells = [str(cell) if cell is not None else "" for medicine in medicines for cell in medicine]
    return [
        NAMES[case["name"]], format_roc(case["day"]), f"{case['time']:%H:%M}" if case["time"] else "",
        "、".join(labels[one] for one in case["services"]), case["medication_staff"] if "medication" in case["services"] else "",
        *cells, case["counselling_staff"] if "counselling" in case["services"] else "", MODES[case["mode"]],
        "是" if case["pregnant"] and case["name"] in WOMEN else "", _text(case["cigarettes"]), _text(case["co_ppm"]), case["note"],
    ]  # fmt: skip


def _text(value: object) -> str:
    return "" if value is None else str(value)


def line_of(case: dict[str, Any], staff: dict[str, Any]) -> str:
    """The visit as a line of the command's file."""
    said: dict[str, Any] = {
        "case": NAMES[case["name"]], "visit_on": format_roc(case["day"]), "note": case["note"],
        "pregnant": case["pregnant"] and case["name"] in WOMEN, "cigarettes_per_day": case["cigarettes"], "co_ppm": case["co_ppm"],
    }  # fmt: skip
    if case["time"]:
        said["visit_time"] = f"{case['time']:%H:%M}"
    if "medication" in case["services"]:
        lines = [
            {"medicine_code": code, "supply_weeks": weeks} | ({"supply_days": days} if days is not None else {})
            for code, weeks, days in case["medicines"]
        ]
        said["medication"] = {"staff": case["medication_staff"], "lines": lines}
    if "counselling" in case["services"]:
        said["counselling"] = {"staff": case["counselling_staff"], "mode": case["mode"]}
    return json.dumps(said)


def fields_of(case: dict[str, Any], staff: dict[str, Any]) -> dict[str, Any]:
    """The visit as the page's form sends it."""
    fields: dict[str, Any] = {
        "uid": uuid4(), "visit_on": format_roc(case["day"]), "visit_time": f"{case['time']:%H:%M}" if case["time"] else "",
        "services": case["services"], "medication_staff": staff.get(case["medication_staff"], ""),
        "counselling_staff": staff.get(case["counselling_staff"], ""), "counselling_mode": case["mode"],
        "cigarettes_per_day": _text(case["cigarettes"]), "co_ppm": _text(case["co_ppm"]), "note": case["note"],
        "lines-TOTAL_FORMS": "2", "lines-INITIAL_FORMS": "0", "lines-MIN_NUM_FORMS": "1", "lines-MAX_NUM_FORMS": "6",
    }  # fmt: skip
    if case["pregnant"]:
        fields["pregnant"] = "on"
    for number, (code, weeks, days) in enumerate(case["medicines"]):
        fields |= {
            f"lines-{number}-medicine": code, f"lines-{number}-supply_weeks": str(weeks), f"lines-{number}-supply_days": _text(days),
        }  # fmt: skip
    return fields


def test_three_hundred_visits_have_the_same_problems_on_the_page_in_a_file_and_by_the_command(known: None) -> None:
    cases, staff = list(generated()), uids()
    expected = [by_rules(case, staff) for case in cases]
    assert len({code for problems in expected for code, _message in problems}) > 15  # the cases say something
    assert 20 < sum(not problems for problems in expected) < CASES - 100

    # the file: with visits of others alone, for rows of one person know of each other
    by = world.actor("recorder")
    for first in range(0, CASES, len(NAMES)):
        part = cases[first : first + len(NAMES)]
        with transaction.atomic():
            batch = sent(csv_of(*map(row_of, part), titles=TITLES))
            with scoped(by):
                held = [open_row(row, batch) for row in Row.objects.filter(batch=batch).order_by("line")]
            transaction.set_rollback(True)
        for case, problems, row in zip(part, expected[first:], held, strict=False):
            assert [(one.code, str(one.message)) for one in row.problems] == problems, ("file", case)
            assert (row.row.status == "good") is (not problems)

    # the command: what its lines are read into, recorded by the same service
    for case, problems in zip(cases, expected, strict=True):
        with scoped(by):
            line = VisitLine(1, line_of(case, staff))
            names = _Names(by.at_institution(), [NAMES[case["name"]]])
            line.read(names.case, lambda word, names=names: names.staff(word) or staff.get(word))
            assert line.problems == [], case
            assert line.case
            assert line.entry
            (outcome,) = record_visits([(line.case, line.entry)], by=by)
            transaction.set_rollback(True)
        assert [(one.code, str(one.message)) for one in outcome.problems] == problems, ("command", case)

    # the page: what it says beside the fields and above the form
    browser = Browser("recorder")
    for case, problems in zip(cases, expected, strict=True):
        with browser.undone():
            answer = browser.send(visit_page(case["name"]), fields_of(case, staff))
        assert answer.status_code == (422 if problems else 302), case
        text = unescape(answer.text)
        assert [message for _code, message in problems if message not in text] == [], ("page", case)


# --- Intakes -----------------------------------------------------------------------------------------------------------

INTAKES = 120
INTAKE_DAYS = [world.TODAY - timedelta(days=20), date(2025, 4, 2), date(1960, 1, 1), date(2000, 1, 1)]


def generated_intakes() -> Iterator[dict[str, Any]]:
    """Intakes as somebody could type them, of people of the world; the same ones in every run."""
    chance = random.Random(20250402)

    def usually(right: Any, otherwise: list[Any]) -> Any:
        return right if chance.random() < 0.93 else chance.choice(otherwise)

    for number in range(INTAKES):
        answered = usually(True, [False])
        yield {
            "name": list(NAMES)[number % len(NAMES)], "day": date(2025, 3, 25) if number % 3 else chance.choice(INTAKE_DAYS),
            "ftnd": {
                item.name: usually(chance.choice(item.answers).word, [""]) if chance.random() < 0.2 or answered else ""
                for item in FTND_ITEMS
            },
            "cigarettes_per_day": usually(20, [None, 0, 999]), "co_ppm": usually(None, [0, 8, 999]),
            "weight_kg": usually("", ["68.5", "5", "301"]), "insured": chance.choice(["", "yes", "no"]),
            "pregnant": chance.random() < 0.1,
        }  # fmt: skip


def intake_row(case: dict[str, Any]) -> list[str]:
    """The intake as a row of a file of persons who are there."""
    labels = {(item.name, one.word): str(one.label) for item in FTND_ITEMS for one in item.answers}
    with scoped(world.actor("recorder")):
        known = world.case(case["name"])
        number = known.person.identity_number
    return [
        number, format_roc(known.person.birth_on), "男" if known.person.sex == "male" else "女", known.name, known.chart_no, known.phone,
        format_roc(case["day"]), *(labels.get(answer, "") for answer in case["ftnd"].items()), _text(case["cigarettes_per_day"]),
        _text(case["co_ppm"]), case["weight_kg"], "是" if case["pregnant"] and case["name"] in WOMEN else "",
        {"yes": "是", "no": "否"}.get(case["insured"], ""),
    ]  # fmt: skip


def test_intakes_have_the_same_problems_on_the_page_and_in_a_file(db: None) -> None:
    cases, by = list(generated_intakes()), world.actor("recorder")
    with scoped(by):
        places = {name: world.case(name).uid for name in NAMES}
    browser = Browser("recorder")
    codes = set()
    good = 0
    rows = []
    for first in range(0, INTAKES, len(NAMES)):  # of others alone, as visits above
        part = map(intake_row, cases[first : first + len(NAMES)])
        with transaction.atomic():
            batch = sent(csv_of(*part, titles=(*PERSON_TITLES, *INTAKE_TITLES)), Kind.PERSONS)
            with scoped(by):
                rows += [open_row(row, batch) for row in Row.objects.filter(batch=batch).order_by("line")]
            transaction.set_rollback(True)
    for case, row in zip(cases, rows, strict=True):
        codes |= {one.code for one in row.problems}
        good += row.row.status == "good"
        fields = {
            "uid": uuid4(), "taken_on": format_roc(case["day"]), **{f"ftnd_{name}": word for name, word in case["ftnd"].items()},
            **{name: _text(case[name]) for name in ("cigarettes_per_day", "co_ppm", "weight_kg", "insured")},
        }  # fmt: skip
        if case["pregnant"]:
            fields["pregnant"] = "on"
        with browser.undone():
            answer = browser.send(f"/cases/{places[case['name']]}/baselines/new", fields)
        assert (answer.status_code == 302) is (row.row.status == "good"), case
        text = unescape(answer.text)
        assert [str(one.message) for one in row.problems if one.message not in text] == [], case
    assert codes >= {"taken-in-future", "taken-before-birth", "ftnd-incomplete", "value-implausible", "baseline-exists"}
    assert INTAKES / 4 < good < INTAKES
