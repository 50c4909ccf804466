"""對照院內名單: a list of the institution's own system beside the visits recorded of a month. Pure: in memory, nothing read or kept."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from uuid import UUID

from quitledger.policy.identity import checksum_ok
from quitledger.policy.sentences import Words


class Match(StrEnum):
    """How a line of the list and a recorded visit go together."""

    BOTH = "both"
    NEAR = "near"
    LISTED = "listed"
    RECORDED = "recorded"
    ELSEWHEN = "elsewhen"

    @property
    def label(self) -> Words:
        """In Chinese."""
        return _MATCHES[self]


_MATCHES = {
    Match.BOTH: Words("兩邊都有"),
    Match.NEAR: Words("幾乎相同"),
    Match.LISTED: Words("名單有、系統沒有"),
    Match.RECORDED: Words("系統有、名單沒有"),
    Match.ELSEWHEN: Words("不在這個月"),
}


@dataclass(frozen=True)
class Listed:
    """A line of the list. `number`: identity number in its one form, or ""; `person`: whom it names, where he is known here."""

    line: int
    visit_on: date
    number: str = ""
    chart_no: str = ""
    person: int | None = None


@dataclass(frozen=True)
class Recorded:
    """A recorded visit of the month."""

    uid: UUID
    visit_on: date
    person: int
    number: str


@dataclass(frozen=True)
class Pair:
    """A line and a visit that go together, or one of them alone. `days`: between them; `digit`: the number differs in one."""

    match: Match
    listed: Listed | None = None
    recorded: Recorded | None = None
    days: int = 0
    digit: bool = False


def compare(listed: Sequence[Listed], recorded: Sequence[Recorded], *, month: date, near_days: int) -> list[Pair]:
    """Every line and every visit, each once. First what agrees; of the rest the same person a few days off, the nearest
    first; then the same day and a number that differs in one digit, where the list's cannot be right."""
    in_month = [one for one in listed if one.visit_on.replace(day=1) == month]
    pairs = [Pair(Match.ELSEWHEN, one) for one in listed if one.visit_on.replace(day=1) != month]
    both, lines, visits = _agreeing(in_month, recorded)
    near, lines, visits = _near_in_days(lines, visits, near_days)
    wrong, lines, visits = _near_in_number(lines, visits)
    pairs += [*both, *near, *wrong, *(Pair(Match.LISTED, one) for one in lines)]
    return pairs + [Pair(Match.RECORDED, recorded=one) for one in visits]


Rest = tuple[list[Pair], list[Listed], list[Recorded]]


def _agreeing(listed: Sequence[Listed], recorded: Sequence[Recorded]) -> Rest:
    """Person and day agree; a visit that the list has in several lines goes with all of them."""
    at = {(one.person, one.visit_on): one for one in recorded}
    pairs, lines, met = [], [], set()
    for one in listed:
        found = at.get((one.person, one.visit_on)) if one.person is not None else None
        if found is None:
            lines.append(one)
        else:
            pairs.append(Pair(Match.BOTH, one, found))
            met.add(found.uid)
    return pairs, lines, [one for one in recorded if one.uid not in met]


def _near_in_days(listed: Iterable[Listed], recorded: Sequence[Recorded], near_days: int) -> Rest:
    of_person: dict[int, list[Recorded]] = defaultdict(list)
    for one in recorded:
        of_person[one.person].append(one)
    listed = list(listed)
    candidates = [
        (abs((line.visit_on - visit.visit_on).days), line.line, line, visit)
        for line in listed
        if line.person is not None
        for visit in of_person[line.person]
        if abs((line.visit_on - visit.visit_on).days) <= near_days
    ]
    candidates.sort(key=lambda one: (*one[:2], one[3].visit_on))
    pairs = _each_once((line, visit, {"days": days}) for days, _line, line, visit in candidates)
    return _without(pairs, listed, recorded)


def _near_in_number(listed: Sequence[Listed], recorded: Sequence[Recorded]) -> Rest:
    """A number with one wrong digit is never right: its last one would not fit. So nobody else's is taken for it."""
    on_day: dict[date, list[Recorded]] = defaultdict(list)
    for visit in recorded:
        on_day[visit.visit_on].append(visit)
    candidates = (
        (line, visit, {"digit": True})
        for line in listed
        if line.number and line.person is None and not checksum_ok(line.number)
        for visit in on_day[line.visit_on]
        if _differs_in_one(line.number, visit.number)
    )
    return _without(_each_once(candidates), listed, recorded)


def _differs_in_one(one: str, other: str) -> bool:
    """One sign differs, or two neighbours are swapped."""
    if len(one) != len(other):
        return False
    places = [place for place, (a, b) in enumerate(zip(one, other, strict=True)) if a != b]
    if len(places) == 2:
        first, second = places
        return second == first + 1 and one[first] == other[second] and one[second] == other[first]
    return len(places) == 1


def _each_once(candidates: Iterable[tuple[Listed, Recorded, Mapping[str, int]]]) -> list[Pair]:
    pairs, lines, visits = [], set(), set()
    for line, visit, said in candidates:
        if line.line not in lines and visit.uid not in visits:
            pairs.append(Pair(Match.NEAR, line, visit, **said))  # type: ignore[arg-type]
            lines.add(line.line)
            visits.add(visit.uid)
    return pairs


def _without(pairs: list[Pair], listed: Sequence[Listed], recorded: Sequence[Recorded]) -> Rest:
    lines = {pair.listed.line for pair in pairs if pair.listed}
    visits = {pair.recorded.uid for pair in pairs if pair.recorded}
    return (
        pairs, [one for one in listed if one.line not in lines], [one for one in recorded if one.uid not in visits],
    )  # fmt: skip
