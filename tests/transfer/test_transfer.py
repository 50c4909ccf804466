"""The records of the system before this one: the sample of the documentation, taken over through services and command."""

import csv
import shutil
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.exceptions import PermissionDenied
from psycopg import errors

from quitledger.accounts.actors import SYSTEM, Actor
from quitledger.accounts.scope import scoped
from quitledger.corrections.models import Application
from quitledger.policy import TAIPEI
from quitledger.policy.problem import Refused
from quitledger.transfer import formats, services
from quitledger.transfer.services import Report, case_uid, visit_uid
from quitledger.visits.models import Visit
from quitledger.visits.services import as_entry, change_visit, restore_visit, void_visit

from .. import world
from ..conftest import TEMPLATE, Database, Prepare
from ..ops.commands import assert_told, quitledger
from ..sql import acting, one

SAMPLE = Path(__file__).resolve().parents[2] / "docs" / "samples" / "transfer"
CODE = "9900200010"
RECORDED = {"medicines": 1, "institutions": 2, "staff": 2, "persons": 2, "intakes": 1, "visits": 2}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the sample."""
    shutil.copytree(SAMPLE, tmp_path / "old")
    return tmp_path / "old"


def loaded(committed: Any, folder: Path, work: Callable[..., Report] = services.load) -> Report:
    with committed.as_owner():
        return work(folder, by=SYSTEM)


def visits(owner: psycopg.Connection) -> dict[Any, tuple[Any, ...]]:
    rows = owner.execute("SELECT uid, taken_over, in_force, recorded_at FROM visits_visit").fetchall()
    return {uid: rest for uid, *rest in rows}


def codes(report: Report, kind: str) -> list[tuple[int, list[str]]]:
    return [(told.line, [problem.code for problem in told.problems]) for told in report.refused[kind]]


def test_what_is_good_is_recorded_what_breaks_a_rule_is_kept_and_the_rest_is_refused(
    committed: Any, owner: Any, folder: Path
) -> None:
    report = loaded(committed, folder)
    assert dict(report.recorded) == RECORDED
    assert codes(report, "persons") == [(4, ["identity-checksum"])]
    assert codes(report, "visits") == [(5, ["medicine-unknown"]), (7, ["case-unknown"])]
    kept = {told.line: [problem.code for problem in told.problems] for told in report.taken_over}
    assert kept == {3: ["visit-too-near"], 4: ["window-closed"], 8: ["staff-not-contracted"]}
    found = visits(owner)
    assert {number: found[visit_uid(CODE, number)][0] for number in ("V-1", "V-2", "V-3", "V-5", "V-7")} == {
        "V-1": False, "V-2": True, "V-3": True, "V-5": False, "V-7": True,
    }  # fmt: skip
    assert all(in_force for _, in_force, _ in found.values())
    assert found[visit_uid(CODE, "V-3")][2] == datetime(2024, 4, 1, 9, tzinfo=TAIPEI), "its own moment"
    assert one(owner, "SELECT count(*) FROM visits_visit_history WHERE taken_over") == 3
    assert one(owner, "SELECT count(*) FROM audit_journal WHERE action = 'transfer.load'") == 6


def test_courses_that_the_old_system_counted_otherwise_are_listed_and_ours_hold(committed: Any, folder: Path) -> None:
    report = loaded(committed, folder)
    assert [(one_.line, one_.kind, one_.was, one_.ours) for one_ in report.courses] == [
        (6, "counselling", (2024, 2), (2024, 1)),
    ]


def test_visits_are_compared_by_institution_and_month(committed: Any, folder: Path) -> None:
    report = loaded(committed, folder)
    assert {month: (n["file"], n["kept"]) for (_, month), n in report.months.items()} == {
        date(2024, 1, 1): (1, 1), date(2024, 3, 1): (2, 2), date(2024, 4, 1): (3, 1), date(2024, 7, 1): (1, 1),
    }  # fmt: skip


def test_a_second_time_nothing_is_there_twice(committed: Any, owner: Any, folder: Path) -> None:
    loaded(committed, folder)
    before = visits(owner)
    again = loaded(committed, folder)
    assert sum(again.recorded.values()) == 0
    assert dict(again.known) == {kind: number for kind, number in RECORDED.items() if kind != "visits"} | {"visits": 5}
    assert again.taken_over == []
    assert visits(owner) == before
    assert one(owner, "SELECT count(*) FROM cases_case WHERE uid = %s", [case_uid(CODE, "C-1")]) == 1


def test_after_a_break_it_goes_on(committed: Any, owner: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = services.record_visits

    def broken(entries: Any, **more: Any) -> Any:
        real(entries, **more)
        raise RuntimeError("killed")

    monkeypatch.setattr(services, "record_visits", broken)
    with pytest.raises(RuntimeError):
        loaded(committed, folder)
    assert visits(owner) == {}
    assert one(owner, "SELECT count(*) FROM cases_case WHERE uid = %s", [case_uid(CODE, "C-1")]) == 1
    monkeypatch.setattr(services, "record_visits", real)
    report = loaded(committed, folder)
    assert (report.recorded["visits"], report.known["persons"], report.recorded["persons"]) == (2, 2, 0)


def test_a_rehearsal_says_the_same_and_leaves_nothing(committed: Any, owner: Any, folder: Path) -> None:
    count = "SELECT count(*) FROM institutions_institution"
    before = one(owner, count), one(owner, "SELECT count(*) FROM audit_journal")
    report = loaded(committed, folder, services.check)
    assert dict(report.recorded) == RECORDED
    assert len(report.taken_over) == 3
    assert (one(owner, count), one(owner, "SELECT count(*) FROM audit_journal")) == before


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda folder: (folder / "institutions.csv").unlink(), ["file-missing"]),
        (lambda folder: (folder / "visits.csv").write_text("就醫編號\nV-1\n"), ["column-missing"]),
        (lambda folder: (folder / "persons.csv").write_bytes(b"\xff\xff\xff"), ["file-encoding-unknown"]),
    ],
)
def test_a_file_that_cannot_be_read_stops_it_in_words(
    change: Callable[[Path], Any], expected: list[str], committed: Any, folder: Path
) -> None:
    change(folder)
    with pytest.raises(Refused) as refused:
        loaded(committed, folder, services.check)
    assert [problem.code for problem in refused.value.problems] == expected


@pytest.mark.parametrize(
    ("column", "cell", "expected"),
    [
        ("就醫日期", "113/2/30", "value-unreadable"), ("就醫日期", "", "value-missing"), ("登錄時間", "113/3/1", "value-unreadable"),
        ("藥品", "DEMO000101", "value-unreadable"), ("藥品", "DEMO000101*0", "supply-missing"), ("用藥療程", "一", "value-unreadable"),
        ("用藥療程", "113-0", "value-unreadable"), ("就醫日期", "199/1/1", "in-future"), ("登錄時間", "114/4/2 09:00", "in-future"),
        ("衛教人員", "A090000033", "staff-unknown"), ("醫事機構代碼", "9900299999", "institution-unknown"),
        ("平均每日支數", "99999", "value-implausible"), ("就醫日期", "60/1/1", "policy-unknown"),
    ],
)  # fmt: skip
def test_every_reason_why_a_visit_cannot_be_kept(
    column: str, cell: str, expected: str, committed: Any, folder: Path
) -> None:
    path = folder / "visits.csv"
    titles, first, *_rest = csv.reader(path.read_text().splitlines())
    row = dict(zip(titles, first, strict=True)) | {column: cell}
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([titles, [row[title] for title in titles]])
    report = loaded(committed, folder, services.check)
    assert report.recorded["visits"] == 0
    assert report.taken_over == []
    assert expected in {problem.code for told in report.refused["visits"] for problem in told.problems}


# --- What was taken over stays --------------------------------------------------------------------------------------


def sample_taken_over(database: Database) -> Report:
    return loaded(database, SAMPLE)


@pytest.fixture
def origin(request: pytest.FixtureRequest, prepare: Prepare) -> str:
    return prepare(sample_taken_over)[0].name if "taken_over" in request.fixturenames else TEMPLATE


@pytest.fixture
def taken_over(committed: Any, owner: Any) -> Visit:
    """A visit of this year that was taken over, of the clinic's own person."""
    owner.execute("SELECT set_config('quitledger.scope', '0', false)")
    with scoped(world.SYSTEM):
        return Visit.objects.select_related("case__person").get(uid=visit_uid(CODE, "V-2"))


def test_nobody_changes_voids_or_restores_it(taken_over: Visit) -> None:
    by = Actor(None, taken_over.institution_id, None, system=True)
    for work in (
        lambda: change_visit(visit=taken_over, version=1, entry=as_entry(taken_over), reason="x", by=by),
        lambda: void_visit(visit=taken_over, version=1, reason="x", by=by),
        lambda: restore_visit(visit=taken_over, version=1, reason="x", by=by),
    ):
        with scoped(by), pytest.raises(Refused) as refused:
            work()
        assert [problem.code for problem in refused.value.problems] == ["visit-taken-over"]


@pytest.mark.engine
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE visits_visit SET note = 'x', version = version + 1 WHERE id = %(id)s",
        "UPDATE visits_visit SET in_force = false, version = version + 1 WHERE id = %(id)s",
        "UPDATE visits_visit SET taken_over = false, version = version + 1 WHERE id = %(id)s",
        "UPDATE visits_service SET counselling_mode = 'in_person', version = version + 1 WHERE visit_id = %(id)s",
        "DELETE FROM visits_service WHERE visit_id = %(id)s",
        "INSERT INTO visits_service (visit_id, person_id, institution_id, visit_on, in_force, taken_over, kind, staff_id,"
        " counselling_mode, spacing_days, entry_uid, version) SELECT visit_id, person_id, institution_id, visit_on, true, true,"
        " 'medication', staff_id, '', 5, gen_random_uuid(), 1 FROM visits_service WHERE visit_id = %(id)s",
    ],
)
def test_the_database_by_itself_lets_nobody_change_it(
    statement: str, taken_over: Visit, committed: Any, owner: Any
) -> None:
    owner.execute(  # its month is open, whatever the day
        "INSERT INTO visits_windowextension (month, reach, county, closes_at, reason, decided_by_id) SELECT '2024-03-01', 'all', '',"
        " '2030-01-01', '測試', id FROM accounts_user WHERE username = 'desk_supervisor'"
    )
    before = visits(owner), one(owner, "SELECT count(*) FROM visits_service")
    refused = (errors.CheckViolation, errors.ExclusionViolation)
    with pytest.raises(refused), acting(committed, taken_over.institution_id) as sql:
        sql.execute(statement, {"id": taken_over.pk})
    assert (visits(owner), one(owner, "SELECT count(*) FROM visits_service")) == before


@pytest.mark.engine
def test_only_the_owner_takes_over(committed: Any, owner: Any) -> None:
    with scoped(world.SYSTEM):
        case, staff = world.case(), world.staff("示範子").pk
    with pytest.raises(errors.CheckViolation, match="taken over"), acting(committed, case.institution_id) as sql:
        sql.execute(
            "WITH v AS (INSERT INTO visits_visit (uid, case_id, person_id, institution_id, visit_on, pregnant, note, in_force, taken_over,"
            " version, change_reason) VALUES (gen_random_uuid(), %s, %s, %s, '2025-03-31', false, '', true, true, 1, '') RETURNING *)"
            " INSERT INTO visits_service (visit_id, person_id, institution_id, visit_on, in_force, taken_over, kind, staff_id,"
            " counselling_mode, spacing_days, entry_uid, version) SELECT id, person_id, institution_id, visit_on, true, true,"
            " 'counselling', %s, 'in_person', 5, uid, 1 FROM v",
            [case.pk, case.person_id, case.institution_id, staff],
        )


# --- Applications, and the command ----------------------------------------------------------------------------------


def test_open_applications_are_registered_by_the_desk_with_numbers_of_ours(committed: Any, folder: Path) -> None:
    report = loaded(committed, folder)
    desk = world.actor("desk_officer")
    for _ in range(2):
        services.register_applications(folder, report, by=desk)
    assert (report.recorded["corrections"], report.known["corrections"]) == (2, 2)
    assert codes(report, "corrections")[0] == (4, ["visit-unknown"])
    with scoped(desk):
        found = list(Application.objects.order_by("pk"))
        assert [(one_.case_no, one_.on_paper, one_.state) for one_ in found] == [
            ("114-04-0001", True, "new"), ("114-04-0002", True, "new"),
        ]  # fmt: skip
        assert found[0].reason == "舊系統案件 OLD-1：看診後系統無法連線，漏未登錄"
        assert [item.kind for one_ in found for item in one_.items.all()] == ["late_entry", "void"]


def test_the_command_rehearses_loads_and_reports(committed: Any, owner: Any, folder: Path, tmp_path: Path) -> None:
    urls = {"DATABASE_URL": committed.app_url, "DATABASE_OWNER_URL": committed.owner_url}
    assert_told(quitledger("transfer", "load", str(folder), **urls), "--desk")
    rehearsed = quitledger("transfer", "check", str(folder), "--report", str(tmp_path / "r"), **urls)
    assert_told(rehearsed, "不符規定、依原樣保存 3 筆", "未收 2")
    assert visits(owner) == {}
    assert_told(quitledger("transfer", "load", str(folder), "--desk", "desk_officer", **urls), "就醫資料：收下 2")
    assert len(visits(owner)) == 5
    report = folder / "report"
    assert {path.name for path in report.iterdir()} == {
        *(f"refused-{kind.stem}.csv" for kind in (*formats.KINDS, formats.CORRECTIONS)), "taken-over.csv", "courses.csv", "months.csv",
    }  # fmt: skip
    assert {path.stat().st_mode & 0o777 for path in report.iterdir()} == {0o600}
    refused = list(csv.DictReader((report / "refused-visits.csv").read_text("utf-8-sig").splitlines()))
    assert [(row["列"], row["就醫編號"], row["原因"]) for row in refused] == [
        ("5", "V-4", "藥品清單裡沒有 DEMO999999。"), ("7", "V-6", "persons 檔裡沒有這個個案編號，或那一列沒有收下。"),
    ]  # fmt: skip
    courses = (report / "courses.csv").read_text("utf-8-sig").splitlines()
    assert courses[1] == "visits.csv,6,衛教,113-2,113-1"


def test_every_column_is_documented() -> None:
    words = (SAMPLE.parents[1] / "transfer.md").read_text()
    for kind in (*formats.KINDS, formats.CORRECTIONS):
        assert f"`{kind.stem}.csv`" in words
        for column in kind.columns:
            assert column.title in words, column.title


def test_the_page_says_that_it_was_taken_over_and_offers_no_change(taken_over: Visit, committed: Any) -> None:
    from django.urls import reverse

    from ..portal.conftest import Browser

    desk = Browser("desk_officer")
    page = desk.get(reverse("visit_show", args=[taken_over.uid]))
    assert page.status_code == 200
    assert "這筆由舊系統移轉" in page.text
    assert reverse("correction_choose", args=[taken_over.uid]) not in page.text
    for name, arguments in (("correction_choose", {}), ("correction_visit", {"kind": "void"})):
        answer = desk.get(reverse(name, kwargs={"uid": taken_over.uid} | arguments))
        assert answer["Location"] == reverse("visit_show", args=[taken_over.uid])


@pytest.mark.parametrize("username", ["administrator", "desk_supervisor", "recorder"])
def test_only_the_programme_itself_takes_over(username: str, committed: Any, folder: Path) -> None:
    by = world.actor(username)
    for work in (services.load, services.check):
        with committed.as_owner(), pytest.raises(PermissionDenied):
            work(folder, by=by)
    if username == "recorder":
        with pytest.raises(PermissionDenied):
            services.register_applications(folder, Report(), by=by)
