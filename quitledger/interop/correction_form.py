"""附錄九 戒菸服務資訊系統(VPN)資料更正申請單: an application as the agency's form, on one page, for seal and signature.

Source: the agency's notice, section 參 and note 2 (reason in detail, seal of the institution, signature of its supervisor);
which groups of items there are: the desk's register (domain.md §3).
"""

from datetime import date
from io import BytesIO
from typing import Any

import segno

from quitledger.accounts.actors import Actor
from quitledger.accounts.permissions import Permission
from quitledger.corrections.differences import GROUPS, changed_fields, entries_of, groups_of, in_words
from quitledger.corrections.models import Application, Item
from quitledger.corrections.rules import ITEM_KINDS, STATES, ItemKind, State
from quitledger.policy import format_closing, format_roc

from .case_sheet import NOTHING, institution_facts, person_facts
from .paper import pdf

TITLE = "戒菸服務資訊系統(VPN)資料更正申請單"
_SIZES = (10, 9, 8, 7, 6)  # points: the largest with which all is on one page


def correction_form(
    application: Application, *, number: str, whole: bool, address: str, today: date, made_up: str, by: Actor
) -> bytes:
    """The form as PDF. `number`: the identity number; `whole`: not masked, and neither are those that are asked for;
    `address`: of the application, in its code.

    Raises PermissionDenied. Journal the read.
    """
    from pypdf import PdfReader  # loaded with the site it took a seventh of its time to start

    by.require(Permission.CORRECTION_READ)
    items = list(application.items.select_related("visit", "identity").order_by("position"))
    said = [in_words(item, entries_of(item, by=by), whole=whole) for item in items]
    changes = [changed_fields(*one) for one in said]
    ticked = groups_of(name for fields in changes for name, *_ in fields)
    code = BytesIO()
    segno.make(address, error="m", micro=False).save(code, kind="svg", border=1)
    data: dict[str, Any] = {
        "title": TITLE, "made_up": made_up, "made_by": "依戒菸登錄系統的紀錄產製，列印日期",
        "printed_on": format_roc(today), "uid": str(application.uid), "code": code.getvalue().decode(),
        "institution": [*institution_facts(application.institution_id, today), *_numbers(application)],
        "person": person_facts(application.case, number, today),
        "groups": [(str(group), group in ticked) for group in GROUPS],
        "items": [
            {"number": place, "what": _what(item, before.get("visit_on", "")), "changes": [[str(part) or NOTHING for part in row[1:]] for row in rows]}
            for place, (item, (before, _after), rows) in enumerate(zip(items, said, changes, strict=True), start=1)
        ],
        "reason": application.reason or NOTHING, "steps": _steps(application), "seals": _seals(application),
    }  # fmt: skip
    for size in _SIZES:
        made = pdf("correction_form", data | {"size": size}, day=today)
        if len(PdfReader(BytesIO(made)).pages) == 1:
            break
    return made


def _numbers(application: Application) -> list[tuple[str, str]]:
    return [
        ("案件編號", application.case_no or "送出後由管理窗口編號"),
        ("申請狀態", str(STATES[State(application.state)].label)),
    ]


def _what(item: Item, stood_on: str) -> str:
    """The kind, and for a record that is moved the two days in the notice's own words: 114/4/1 調整成 114/2/15."""
    label = str(ITEM_KINDS[ItemKind(item.kind)].label)
    if item.visit_on is None:
        return label
    day = format_roc(item.visit_on)
    return f"{label}：{stood_on} 調整成 {day}" if stood_on not in ("", day) else f"{label}：就醫日期 {day}"


def _steps(application: Application) -> list[tuple[str, str]]:
    received = application.received_on
    return [
        ("發現日期", format_roc(application.discovered_on)), ("填寫人", application.written_by.display_name),
        ("填寫時間", format_closing(application.written_at)),
        ("收件", format_roc(received) if received else format_closing(application.sent_at) if application.sent_at else NOTHING),
    ]  # fmt: skip


def _seals(application: Application) -> list[tuple[str, str]]:
    signed = ""
    if application.signed_by and application.signed_at:
        signed = f"系統簽核：{application.signed_by.display_name}，{format_closing(application.signed_at)}"
    return [("機構章", ""), ("業務主管簽章", signed)]
