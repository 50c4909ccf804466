"""What a made-up nation must count to: the printed tables of one year, scaled, and other years after them. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from quitledger.policy.rounding import rounded

KINDS = ("medication", "counselling")
_FILE = Path(__file__).with_name("nation.yaml")
_MEAN_REACH = Decimal("0.2")


@dataclass(frozen=True)
class TierTarget:
    """The rows of one tier (層級別): contracted and executing, visits and their mean a person by kind."""

    institutions: int
    executing_institutions: int
    staff: int
    executing_staff: int
    visits: Mapping[str, int]
    means: Mapping[str, Decimal]


@dataclass(frozen=True)
class Target:
    """What one year counts to. `staff`, `executing_staff` and `people` are distinct people of the nation.

    `exact`: the means are those printed, to the decimal; else they lie within 0.2 of them, or where the visits are so
    few that no number of people gives that, as near as can be.
    """

    year: int
    tiers: Mapping[str, TierTarget]
    staff: int
    executing_staff: int
    people: int
    means: Mapping[str, Decimal]
    exact: bool

    def mean_fits(self, visits: int, people: int, mean: Decimal) -> bool:
        """Whether so many visits of so many people have this mean."""
        found = Decimal(visits) / people
        if self.exact:
            return rounded(found, 1) == mean
        fewer = max(int(visits / mean), 1)
        nearest = min(abs(Decimal(visits) / number - mean) for number in (fewer, fewer + 1))
        return abs(found - mean) <= max(_MEAN_REACH, nearest)


def target(year: int, scale: Decimal = Decimal(1)) -> Target:
    """The numbers of a year (AD): those printed times `scale`, rounded half up, at least 1 where they were not 0.

    Visits of a year that was not printed are split over the tiers as in the one that was.
    """
    data = _data()
    people, services = served(year)
    printed = year == data["year"]
    visits = {(tier, kind): row[kind][0] for tier, row in data["tiers"].items() for kind in KINDS}
    if not printed:
        visits = _split(services, visits)
    tiers = {
        tier: TierTarget(
            scaled(row["institutions"][0], scale),
            scaled(row["institutions"][1], scale),
            scaled(row["staff"][0], scale),
            scaled(row["staff"][1], scale),
            {kind: scaled(visits[tier, kind], scale) for kind in KINDS},
            {kind: Decimal(row[kind][1]) for kind in KINDS},
        )
        for tier, row in data["tiers"].items()
    }
    staff, executing = (scaled(number, scale) for number in data["staff"])
    means = {kind: Decimal(mean) for kind, mean in data["means"].items()}
    return Target(year, MappingProxyType(tiers), staff, executing, scaled(people, scale), means, printed and scale == 1)


def served(year: int) -> tuple[int, int]:
    """Distinct people served and services in a year (AD): published, or made up between the published."""
    data = _data()
    known = {found: (numbers["people"], numbers["services"]) for found, numbers in data["served"].items()}
    if year in known:
        return known[year]
    way = data["between"].get(year, data["otherwise"])
    (people, services), (most_people, most_services) = min(known.values()), max(known.values())
    return people + (most_people - people) * way // 100, services + (most_services - services) * way // 100


def joined_a_year() -> int:
    """Of every hundred institutions, how many joined in a year."""
    return int(_data()["joined_a_year"])


def scaled(number: int, scale: Decimal) -> int:
    """`number` times `scale`, rounded half up; at least 1 where it was not 0."""
    return max(int(rounded(number * scale, 0)), min(number, 1))


def _split(total: int, parts: dict[Any, int]) -> dict[Any, int]:
    """`total` in whole numbers in proportion to `parts`: what is left over goes to the largest remainders."""
    whole = sum(parts.values())
    found = {name: total * part // whole for name, part in parts.items()}
    by_rest = sorted(parts, key=lambda name: (-(total * parts[name] % whole), name))
    for name in by_rest[: total - sum(found.values())]:
        found[name] += 1
    return found


@cache
def _data() -> Any:
    return yaml.safe_load(_FILE.read_text(encoding="utf-8"))
