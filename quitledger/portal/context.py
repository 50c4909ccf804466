"""What every page knows besides its own: the desk, what its actor may, and the menu. Reads nothing from the database."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from quitledger.accounts.actors import ANYBODY, Actor
from quitledger.accounts.permissions import Permission

from .languages import is_english


class May:
    """`{% if may.visit_record %}`: whether the actor may. A permission that does not exist is an error of the page."""

    def __init__(self, actor: Actor) -> None:
        self._actor = actor

    def __getitem__(self, name: str) -> bool:
        permission = Permission.__members__.get(name.upper())
        if permission is None:
            raise LookupError(f"no permission is called {name}")
        return self._actor.may(permission)


@dataclass(frozen=True)
class MenuItem:
    """One word of the menu: where it leads and whether the page shown belongs to it."""

    label: str
    url: str
    current: bool


# url name, label, permission (None: whoever is signed in), other pages that belong to it
_MENU: list[tuple[str, Any, Permission | None, set[str]]] = [
    ("home", gettext_lazy("首頁"), None, set()),
    (
        "case_find",
        gettext_lazy("登錄就醫資料"),
        Permission.VISIT_RECORD,
        {"case_register", "case_show", "case_change", "person_correct", "baseline_record", "visit_record"},
    ),
    (
        "batch_list",
        gettext_lazy("批次登錄"),
        Permission.VISIT_RECORD,
        {
            "batch_upload",
            "batch_show",
            "batch_columns",
            "batch_row",
            "batch_record",
            "batch_give_up",
            "comparison_new",
            "comparison_show",
        },
    ),
    (
        "visit_query",
        gettext_lazy("就醫資料查詢"),
        Permission.VISIT_READ,
        {"visit_show", "visit_change", "visit_void", "visit_restore"},
    ),
    (
        "case_find",
        gettext_lazy("戒菸者"),
        Permission.CASE_READ,
        {"case_show", "case_person_change", "merge_find", "person_merge"},
    ),
    ("merge_list", gettext_lazy("合併紀錄"), Permission.PERSON_MERGE, {"merge_show", "merge_undo"}),
    (
        "correction_list",
        gettext_lazy("更正申請"),
        Permission.CORRECTION_READ,
        {
            "correction_show",
            "correction_choose",
            "correction_visit",
            "correction_late_entry",
            "correction_item",
            "correction_numbers",
            "correction_step",
            "correction_person",
            "correction_identity",
        },
    ),
    (
        "selfcheck_index",
        gettext_lazy("每月自行清查"),
        Permission.VISIT_READ,
        {"selfcheck_month", "selfcheck_sign", "selfcheck_review", "selfcheck_signed", "reminder_address"},
    ),
    ("window_list", gettext_lazy("登錄期限"), Permission.VISIT_READ, {"window_extend"}),
    ("course_finding_list", gettext_lazy("療程次變動"), Permission.COURSE_REVIEW, set()),
    (
        "register_index",
        gettext_lazy("名冊"),
        Permission.REGISTER_READ,
        {"register_list", "register_show", "register_record", "register_change", "register_import", "finding_list"},
    ),
    (
        "person_list",
        gettext_lazy("人員與帳號"),
        Permission.ACCOUNT_READ,
        {
            "person_show",
            "person_invite",
            "person_change",
            "person_password",
            "person_second_factor",
            "person_end",
            "person_drafts",
        },
    ),
    (
        "statistics",
        gettext_lazy("年度統計"),
        Permission.STATISTICS_READ,
        {
            "annual_statistics",
            "annual_breakdown",
            "annual_rows",
            "statistics_publish",
            "publication_list",
            "publication_show",
        },
    ),
    ("audit_trail", gettext_lazy("稽核軌跡"), Permission.AUDIT_READ, set()),
    ("policy_list", gettext_lazy("規定與來源"), None, {"policy_show"}),
]


def page(request: HttpRequest) -> dict[str, Any]:
    """Context processor. `desk` is None where no transaction was begun (unknown address, expired form)."""
    desk = getattr(request, "desk", None)
    actor = desk.actor if desk else ANYBODY
    return {"desk": desk, "may": May(actor), "menu": list(_menu(request, actor)), "english": is_english()}


def _menu(request: HttpRequest, actor: Actor) -> Iterator[MenuItem]:
    """The menu of whoever is signed in; pages that do not exist (yet) are left out, a page is named once."""
    if actor.account_id is None:
        return
    here = request.resolver_match.url_name if request.resolver_match else None
    seen = set()
    for name, label, permission, others in _MENU:
        if name in seen or (permission and not actor.may(permission)):
            continue
        try:
            url = reverse(name)
        except NoReverseMatch:
            continue
        seen.add(name)
        yield MenuItem(_(label), url, here == name or here in others)
