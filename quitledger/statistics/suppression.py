"""Suppression: how many people a small cell counts is neither shown nor to be worked out from what is. Pure.

Source: what the agency asks of its annual tables; how many is policy, and assumed. What is promised, and
what is not: docs/adr/0027-suppression.md.
"""

from collections.abc import Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from quitledger.policy import policy_on


@dataclass(frozen=True)
class SuppressionRule:
    """Counts of people up to `hidden_up_to` are hidden; what is shown is rounded to a multiple of `rounded_to`."""

    hidden_up_to: int
    rounded_to: int

    @classmethod
    def on(cls, day: date) -> "SuppressionRule":
        """The rule for what is shown on a day. Raises PolicyGap."""
        return cls(policy_on(day, "suppression_hidden_up_to"), policy_on(day, "suppression_rounded_to"))

    def shown(self, count: int) -> int:
        """The count as it is shown: rounded half up."""
        return (2 * count + self.rounded_to) // (2 * self.rounded_to) * self.rounded_to

    def least(self, shown: int) -> int:
        """The smallest count that is shown so."""
        return shown - self.rounded_to // 2

    def most(self, shown: int) -> int:
        """The largest count that is shown so."""
        return shown + (self.rounded_to - 1) // 2


@dataclass(frozen=True)
class Counted:
    """What is counted of a group: distinct people, and their services (None: they are not shown)."""

    persons: int
    services: int | None = None


def hidden_groups(
    counts: Mapping[Hashable, Counted],
    rule: SuppressionRule,
    *,
    totals: Iterable[Collection[Hashable]] = (),
    never_open: Iterable[Collection[Hashable]] = (),
) -> frozenset[Hashable]:
    """The groups of which nothing is shown: those of few people, and others that keep them from being worked out.

    `totals`: sets of groups of which a total is known beside that of all of them (the institutions of a tier).
    `never_open`: sets of which at least one is hidden (the institutions of a county that is hidden itself).
    Further groups are hidden, the smallest first, until each total leaves open what its hidden groups count.
    """
    hidden = {group for group, counted in counts.items() if 0 < counted.persons <= rule.hidden_up_to}
    few = frozenset(hidden)
    order = sorted(
        (group for group, counted in counts.items() if counted.persons > rule.hidden_up_to),
        key=lambda group: (counts[group].persons, counts[group].services or 0, str(group)),
    )
    for groups in map(frozenset, never_open):
        if not hidden.intersection(groups):
            hidden.update([group for group in order if group in groups][:1])
    known = sorted(
        {frozenset(counts), *map(frozenset, totals)}, key=lambda groups: (len(groups), sorted(map(str, groups)))
    )
    changed = True
    while changed:
        changed = False
        for groups in known:
            while not leaves_open(groups, hidden, few, counts, rule):
                hidden.add(next(group for group in order if group in groups and group not in hidden))
                changed = True
    return frozenset(hidden)


def leaves_open(
    groups: Collection[Hashable],
    hidden: Collection[Hashable],
    few: Collection[Hashable],
    counts: Mapping[Hashable, Counted],
    rule: SuppressionRule,
) -> bool:
    """True when the total of `groups` says no more of a hidden one than that it counts from one to `hidden_up_to` people.

    The worst is supposed: nobody is counted in two groups, so that people, too, add up to the total. True as well where
    nothing is left to hide: then the total, which everybody may know, says what it says.
    """
    shown = [counts[group] for group in groups if group not in hidden and counts[group].persons]
    mine = [group for group in groups if group in hidden]
    if not mine or not shown:
        return True
    if len(mine) == 1:
        return False
    if not all(group in few for group in mine):
        return True  # one of them may count as many as there are: it takes what the others do not
    others = len(mine) - 1
    persons = sum(counts[group].persons for group in groups)
    if persons - sum(rule.most(rule.shown(one.persons)) for one in shown) - others * rule.hidden_up_to > 1:
        return False
    services = [counts[group].services for group in groups]
    if None in services:
        return True
    total = sum(number for number in services if number is not None)
    # each of the others has at least one service: what is left is the most that one of them can have, and so of people
    most = total - sum(rule.least(rule.shown(one.services or 0)) for one in shown) - others
    return most >= rule.hidden_up_to
