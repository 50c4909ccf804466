"""個案紀錄表: what an institution has recorded of a person, on paper."""

from contextlib import suppress
from datetime import date
from typing import Any

from quitledger.accounts.actors import Actor
from quitledger.accounts.permissions import Permission
from quitledger.cases.models import Baseline, Case
from quitledger.cases.queries import baselines_of
from quitledger.cases.rules import FTND_ITEMS, age_on
from quitledger.institutions.models import InstitutionDetails
from quitledger.policy import PolicyGap, format_closing, format_roc, policy_on
from quitledger.visits.queries import VisitQuery, VisitRow, search
from quitledger.visits.rules import COUNSELLING_MODES

from .paper import pdf

TITLE = "個案紀錄表"
NOTHING = "—"
Pairs = list[tuple[str, str]]


def case_sheet(case: Case, *, number: str, today: date, made_up: str, by: Actor) -> bytes:
    """The sheet as PDF. `number`: the identity number as it is to be printed, masked or whole; `made_up`: what a demo or
    test database says of its data. The same records on the same day give the same bytes.

    Raises PermissionDenied. Journal the read.
    """
    by.require(Permission.CASE_READ)
    query = VisitQuery(case.person.birth_on, today, case_uids=(case.uid,), with_voided=True, sort="visit_on")
    data = {
        "title": TITLE, "made_up": made_up, "made_by": "依戒菸登錄系統的紀錄產製，列印日期",
        "printed_on": format_roc(today), "institution": institution_facts(case.institution_id, today),
        "person": person_facts(case, number, today), "intakes": [_intake(one) for one in baselines_of(case)],
        "visits": [_visit(row) for row in search(query, by=by)],
    }  # fmt: skip
    return pdf("case_sheet", data, day=today)


def institution_facts(institution_id: int, day: date) -> Pairs:
    """Name and code of an institution as of a day; of one that has ended, its last ones."""
    details = InstitutionDetails.objects.filter(institution_id=institution_id)
    found = details.in_force_on(day).first() or details.order_by("-starts_on").first()
    return [("機構名稱", found.name if found else NOTHING), ("醫事機構代碼", found.code if found else NOTHING)]


def person_facts(case: Case, number: str, today: date) -> Pairs:
    """Whom it is about."""
    person = case.person
    return [
        ("姓名", case.called), ("證號", number),
        ("出生日期", f"{format_roc(person.birth_on)}（{age_on(person.birth_on, today)} 歲）"),
        ("性別", str(person.get_sex_display())),
        ("病歷號", case.chart_no or NOTHING), ("收案日期", format_roc(case.opened_on)),
    ]  # fmt: skip


def _intake(baseline: Baseline) -> dict[str, Any]:
    insured = {True: "是", False: "否", None: NOTHING}[baseline.insured]
    return {
        "facts": [
            ("評估日期", format_roc(baseline.taken_on)), ("尼古丁成癮度", _with_unit(baseline.ftnd_score, "分")),
            ("平均每日支數", _with_unit(baseline.cigarettes_per_day, "支")),
            ("一氧化碳", _with_unit(baseline.co_ppm, "ppm")), ("體重", _with_unit(baseline.weight_kg, "公斤")),
            ("健保在保", insured + ("；懷孕" if baseline.pregnant else "")),
        ],
        "answers": _answers(baseline),
    }  # fmt: skip


def _answers(baseline: Baseline) -> list[tuple[str, str, str]]:
    """Question, answer and points of the Fagerström test; none where it was not asked."""
    points: dict[str, dict[str, int]] = {}
    with suppress(PolicyGap):
        points = policy_on(baseline.taken_on, "ftnd_scoring")
    found = []
    for item in FTND_ITEMS:
        word = getattr(baseline, item.name)
        label = next((answer.label for answer in item.answers if answer.word == word), None)
        if label is not None:
            found.append((str(item.question), str(label), str(points.get(item.name, {}).get(word, NOTHING))))
    return found


def _visit(row: VisitRow) -> list[str]:
    day = format_roc(row.visit_on) + (f" {row.visit_time:%H:%M}" if row.visit_time else "")
    parts = []
    for service in row.services:
        lines = "、".join(f"{medicine} {weeks} 週（{days} 天）" for medicine, weeks, days in service.lines)
        parts.append(f"{service.staff}：{lines or COUNSELLING_MODES.get(service.mode, service.mode)}")
    if row.note:
        parts.append(f"備註：{row.note}")
    recorded = f"{format_closing(row.recorded_at)}，{row.timeliness.label}"
    return [
        day, "、".join(str(service.label) for service in row.services), "；".join(parts),
        _with_unit(row.cigarettes_per_day, "支"), _with_unit(row.co_ppm, "ppm"),
        recorded if row.in_force else f"{recorded}；已作廢",
    ]  # fmt: skip


def _with_unit(value: Any, unit: str) -> str:
    return NOTHING if value is None else f"{value} {unit}"
