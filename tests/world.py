"""The made-up world of the tests: today is 114/04/01 09:30; two institutions, an account for every role, a few people.

CLINIC is "ours", PHARMACY the stranger's. Names say who is who; nobody here exists.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid5

from django.db import connection

from quitledger.accounts.actors import AGENCY, NOBODY, SYSTEM, Actor
from quitledger.accounts.models import User
from quitledger.accounts.permissions import Role
from quitledger.accounts.scope import scoped
from quitledger.accounts.services import add_account
from quitledger.cases.models import Case
from quitledger.cases.services import BaselineEntry, Registration, record_baseline, register_case
from quitledger.institutions.lists import InstitutionRow, StaffRow
from quitledger.institutions.membership_services import add_membership
from quitledger.institutions.models import Institution, InstitutionDetails, StaffMember
from quitledger.institutions.services import record_institution, record_staff
from quitledger.policy import TAIPEI
from quitledger.policy.identity import make_up
from quitledger.visits.models import Medicine

NOW = datetime(2025, 4, 1, 9, 30, tzinfo=TAIPEI)
TODAY = NOW.date()
PASSWORD = "gingko-leaf-77-river"
FIRST_DAY = date(2024, 1, 1)
SPACE = UUID("6f9619ff-8b86-d011-b42d-00cf4fc964ff")

CLINIC, PHARMACY, HOSPITAL = "9900000019", "9900000028", "9900000037"
PATCH, GUM, OLD_MEDICINE = "DEMO000001", "DEMO000002", "DEMO000003"


def uid(name: str) -> UUID:
    """The uid of a thing of this world, by its name."""
    return uuid5(SPACE, name)


INSTITUTIONS = [
    InstitutionRow(CLINIC, "示範戒菸診所", "clinic", "臺北市", "示範路 1 號", FIRST_DAY, FIRST_DAY),
    InstitutionRow(PHARMACY, "示範藥局", "pharmacy", "高雄市", "示範路 2 號", FIRST_DAY, FIRST_DAY),
    InstitutionRow(
        HOSPITAL, "示範醫院", "regional_hospital", "臺北市", "示範路 3 號", FIRST_DAY, FIRST_DAY, date(2025, 2, 28)
    ),
]
STAFF = {
    "示範丑": (CLINIC, "physician", True, True, None),
    "示範子": (CLINIC, "counsellor", False, True, None),
    "示範寅": (CLINIC, "counsellor", False, True, date(2025, 3, 31)),
    "示範卯": (PHARMACY, "pharmacist", True, True, None),
    "示範辰": (HOSPITAL, "physician", True, True, None),
}
# username → display name, agency role, places
ACCOUNTS: dict[str, tuple[str, str, dict[str, Role]]] = {
    "recorder": ("示範子", "", {CLINIC: Role.RECORDER}),
    "colleague": ("示範丑", "", {CLINIC: Role.RECORDER}),
    "supervisor": ("示範主管", "", {CLINIC: Role.SUPERVISOR}),
    "stranger": ("示範卯", "", {PHARMACY: Role.RECORDER}),
    "stranger_supervisor": ("示範辛", "", {PHARMACY: Role.SUPERVISOR}),
    "both": ("示範午", "", {CLINIC: Role.RECORDER, PHARMACY: Role.SUPERVISOR}),
    "nowhere": ("示範未", "", {}),
    "desk_officer": ("示範窗口", Role.DESK_OFFICER, {}),
    "desk_supervisor": ("示範窗口主管", Role.DESK_SUPERVISOR, {}),
    "analyst": ("示範分析", Role.ANALYST, {}),
    "administrator": ("示範管理", Role.ADMINISTRATOR, {}),
}


@dataclass(frozen=True)
class Someone:
    """A made-up person as an institution knows him."""

    name: str
    institution_code: str
    serial: int
    birth_on: date
    sex: str
    ftnd: bool = True


PEOPLE = [
    Someone("示範甲", CLINIC, 1, date(1980, 2, 3), "male"),
    Someone("示範乙", CLINIC, 2, date(1973, 5, 6), "female"),
    Someone("示範丙", CLINIC, 3, date(2008, 4, 2), "male"),  # 16
    Someone("示範丁", CLINIC, 4, date(1990, 7, 8), "female", ftnd=False),  # no intake
    Someone("示範戊", PHARMACY, 5, date(1965, 9, 10), "male"),
    Someone("示範甲", PHARMACY, 1, date(1980, 2, 3), "male"),  # the same person elsewhere
    Someone("示範己", HOSPITAL, 6, date(1958, 1, 2), "male"),
]
FTND = {
    "first_cigarette": "within_5", "hard_to_refrain": "yes", "hardest_to_give_up": "first_of_morning",
    "most_cigarettes": "11_to_20", "more_in_first_hours": "no", "smokes_when_ill": "no",
}  # fmt: skip


def set_clock() -> None:
    """Make it 114/04/01 09:30 (owner)."""
    with scoped(SYSTEM), connection.cursor() as cursor:
        cursor.execute("UPDATE audit_database SET clock_offset = %s - clock_timestamp()", [NOW])


def case_uid(someone: Someone) -> UUID:
    """The uid of the case of a person of this world."""
    return uid(f"case {someone.name} {someone.institution_code}")


def build() -> None:
    """Write the world, through the services, as the owner."""
    Medicine.objects.bulk_create(
        [
            Medicine(code=PATCH, name="尼古丁貼片（示範品項甲）", kind="patch", prescription_only=False, starts_on=FIRST_DAY),
            Medicine(code=GUM, name="尼古丁咀嚼錠（示範品項乙）", kind="gum", prescription_only=False, starts_on=FIRST_DAY),
            Medicine(code=OLD_MEDICINE, name="停用錠（示範品項丙）", kind="bupropion", prescription_only=True,
                     starts_on=FIRST_DAY, ends_on=date(2024, 12, 31)),
        ]
    )  # fmt: skip
    institutions = {row.code: record_institution(row, by=SYSTEM).record.institution for row in INSTITUTIONS}
    for serial, (name, (code, profession, may_medicate, may_counsel, ends_on)) in enumerate(STAFF.items()):
        record_staff(
            StaffRow(code, make_up(serial, "S"), name, profession, FIRST_DAY, ends_on, may_medicate, may_counsel),
            by=SYSTEM,
        )
    for username, (display_name, agency_role, places) in ACCOUNTS.items():
        user = add_account(
            username=username, display_name=display_name, password=PASSWORD, agency_role=agency_role, by=SYSTEM
        )
        for code, role in places.items():
            add_membership(
                user=user,
                institution=institutions[code],
                role=role,
                starts_on=FIRST_DAY,
                uid=uid(f"place of {username} {code}"),
                by=SYSTEM,
            )
    for number, someone in enumerate(PEOPLE, start=1):
        actor = Actor(None, institutions[someone.institution_code].pk, None, system=True)
        case = register_case(
            Registration(case_uid(someone), "national_id", make_up(someone.serial), "", someone.birth_on, someone.sex,
                         someone.name, f"T-{number:04}"),
            today=TODAY - timedelta(days=60), made_up_allowed=True, by=actor,
        )  # fmt: skip
        if someone.ftnd:
            record_baseline(
                case=Case.objects.select_related("person").get(pk=case.pk),
                entry=BaselineEntry(uid(f"baseline {number}"), TODAY - timedelta(days=20), FTND, 20, 24, Decimal("68.5"),
                                    pregnant=False, insured=True),
                today=TODAY, by=actor,
            )  # fmt: skip


# --- Finding things of the world again (in any scope that sees them) -------------------------------------------------


def actor(username: str, institution_code: str | None = None) -> Actor:
    """The account as it acts: at its first (or the named) institution, or at the agency."""
    user = User.objects.get(username=username)
    display_name, agency_role, places = ACCOUNTS[username]
    if agency_role:
        scope = AGENCY if agency_role in (Role.DESK_OFFICER, Role.DESK_SUPERVISOR) else NOBODY
        return Actor(user.pk, scope, Role(agency_role), display_name)
    if not places:
        return Actor(user.pk, NOBODY, None, display_name)
    code = institution_code or next(iter(places))
    return Actor(user.pk, institution_id(code), places[code], display_name)


def institution_id(code: str = CLINIC) -> int:
    """The primary key of an institution by its code."""
    return InstitutionDetails.objects.get(code=code).institution_id


def institution(code: str = CLINIC) -> Institution:
    """An institution by its code."""
    return Institution.objects.get(pk=institution_id(code))


def case(name: str = "示範甲", institution_code: str = CLINIC) -> Case:
    """A case by the person's name."""
    return Case.objects.select_related("person").get(uid=uid(f"case {name} {institution_code}"))


def staff(name: str) -> StaffMember:
    """A staff member by name."""
    return StaffMember.objects.get(name=name)
