"""合併戒菸者: whether two persons of the registry may become one, and whether that may be undone. Pure.

Domain.md knows nothing of it; ADR 0021 says why it is as it is. The service that does it stands above, where courses are
(visits/merge_services.py).
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import combinations
from uuid import UUID

from quitledger.policy import Problem, Sentence

from .rules import check_reason, person_emptied


@dataclass(frozen=True)
class Candidate:
    """A person who is to be merged, as the rules see him. `has_merged`: somebody was merged into him."""

    key: int
    birth_on: date
    is_emptied: bool
    is_merged: bool
    has_merged: bool


@dataclass(frozen=True)
class GivenService:
    """A service in force of one of the two persons; `spacing_days` is that of its own day."""

    person: int
    visit_uid: UUID
    visit_on: date
    kind: str
    label: str
    spacing_days: int
    institution: str


@dataclass(frozen=True)
class Collision:
    """Two visits of the two persons that cannot both be one person's: of one day, or too near each other."""

    earlier: GivenService
    later: GivenService

    @property
    def is_same_day(self) -> bool:
        """True for two visits of one day at one institution."""
        return self.earlier.visit_on == self.later.visit_on

    @property
    def problem(self) -> Problem:
        """Why the two persons are not merged, and what to do first."""
        if self.is_same_day:
            message = Sentence(
                "{institution}：{one} 兩位各有一筆就醫資料，一人一天只能有一筆。請先作廢其中一筆，或不要合併。",
                institution=self.earlier.institution, one=self.earlier.visit_on,
            )  # fmt: skip
            return Problem("merge-same-day", message)
        message = Sentence(
            "{institution}：{service} {one} 與 {other} 間隔小於 {spacing} 日。請先作廢其中一筆，或不要合併。",
            institution=self.earlier.institution, service=self.earlier.label, one=self.earlier.visit_on,
            other=self.later.visit_on, spacing=self.earlier.spacing_days,
        )  # fmt: skip
        return Problem("merge-too-near", message)


def collisions(services: Iterable[GivenService]) -> list[Collision]:
    """The visits of two persons that collide once they are one person's, by day; each pair of visits once.

    What the database holds of one person, asked of two: one visit a day at an institution, and of a kind of service the
    spacing of the earlier day.
    """
    found: dict[tuple[UUID, UUID], Collision] = {}
    for earlier, later in combinations(sorted(services, key=lambda one: (one.visit_on, one.kind)), 2):
        if earlier.person == later.person or earlier.institution != later.institution:
            continue
        apart = (later.visit_on - earlier.visit_on).days
        if apart == 0 or (earlier.kind == later.kind and apart < earlier.spacing_days):
            found.setdefault((earlier.visit_uid, later.visit_uid), Collision(earlier, later))
    days: dict[frozenset[UUID], Collision] = {}
    for collision in found.values():  # two services a visit: the same two visits of a day are named once
        days.setdefault(frozenset((collision.earlier.visit_uid, collision.later.visit_uid)), collision)
    return list(days.values())


def check_merge(
    kept: Candidate, merged: Candidate, services: Sequence[GivenService], days: Collection[date], *, reason: str
) -> list[Problem]:
    """Every reason why `merged` cannot be merged into `kept` now. `days`: those of the visits and intakes of both.

    Fields: other, keep, reason.
    """
    problems = []
    if kept.key == merged.key:
        problems.append(Problem("merge-with-itself", "兩個個案已經是同一位戒菸者，不需合併。", "other"))
    if kept.is_emptied or merged.is_emptied:
        problems.append(person_emptied())
    if kept.is_merged or merged.is_merged:
        problems.append(Problem("merge-of-merged", "其中一位先前已合併到另一筆，請改用合併後保留的那一筆。", "other"))
    if merged.has_merged:
        problems.append(
            Problem(
                "merge-kept-before",
                "先前已有別筆合併到要併入的這一位，請改選這一位為保留者，或先撤銷那次合併。",
                "keep",
            )
        )
    if days and min(days) < kept.birth_on:
        message = Sentence(
            "{day} 的就醫或收案評估早於保留者的出生日期，請改選另一位為保留者，或先更正出生日期。", day=min(days)
        )
        problems.append(Problem("merge-before-birth", message, "keep"))
    if kept.key != merged.key:
        problems += [collision.problem for collision in collisions(services)]
    return problems + check_reason(reason)


@dataclass(frozen=True)
class RecordedSince:
    """What was recorded since a merge in a case that holds the visits of both: nobody can tell whose it is.

    `kind`: visit or baseline; `label`: how it is called.
    """

    uid: UUID
    kind: str
    institution: str
    day: date
    label: str


def check_undo(
    *, in_force: bool, emptied: bool, merged_later: bool, since: Iterable[RecordedSince], staying: Collection[UUID],
    reason: str,
) -> list[Problem]:  # fmt: skip
    """Every reason why a merge cannot be undone now. `staying`: the uids of `since` that belong to who was kept.

    Fields: staying, reason.
    """
    problems = []
    if not in_force:
        problems.append(Problem("merge-undone", "這次合併先前已撤銷。"))
    if emptied:
        problems.append(person_emptied())
    if merged_later:
        problems.append(Problem("merged-later", "之後又有別筆合併到同一位，請先撤銷較晚的那一次。"))
    problems += [
        Problem(
            "undo-whose",
            Sentence(
                "{institution}：合併後登錄了 {day} 的{what}，分不出屬於哪一位。確認屬於保留者時請勾選；屬於另一位時，請先作廢，撤銷後再登錄。",
                institution=one.institution, day=one.day, what=one.label,
            ),
            "staying",
        )
        for one in since
        if one.uid not in staying
    ]  # fmt: skip
    return problems + check_reason(reason)
