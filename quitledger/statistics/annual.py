"""年度統計表: the three tables as the agency prints them, computed from the records. Source: domain.md §5, the notice's section 肆."""

from dataclasses import dataclass
from typing import Any

from quitledger.accounts.actors import Actor
from quitledger.institutions.models import Tier
from quitledger.policy.roc_formats import ROC_EPOCH

from .indicators import Grouping
from .measures import Basis, Cell, Measured, Period, measure_all

# What the printed tables' file calls our tiers.
PRINTED_TIERS = {Tier.CLINIC: "western_clinic", Tier.HEALTH_CENTER: "public_health_center"}


@dataclass(frozen=True)
class AnnualTables:
    """The three tables of a period, by a grouping (as printed: by tier)."""

    period: Period
    institutions: Measured
    staff: Measured
    medication: Measured
    counselling: Measured
    persons: Measured


def annual_tables(
    period: Period, *, grouping: Grouping = Grouping.TIER, basis: Basis = Basis.ANY_DAY, by: Actor
) -> AnnualTables:
    """The tables of a period. Raises PermissionDenied."""
    names = ("institution_execution", "staff_execution", "medication_visits", "counselling_visits", "persons_served")
    return AnnualTables(period, *measure_all(names, period, grouping=grouping, basis=basis, by=by))


def as_printed(tables: AnnualTables) -> dict[str, Any]:
    """The tables in the shape of the reference file: seven tiers each, in the printed order, totals computed."""
    first, last = tables.period.first, tables.period.last
    return {
        "roc_year": first.year - ROC_EPOCH,
        "period": [first.isoformat(), last.isoformat()],
        "table_1_institutions": _rates(tables.institutions),
        "table_2_staff": _rates(tables.staff),
        "table_3_services": {
            "rows": [
                _tier(tier) | _services(tables.medication.of(tier.value), tables.counselling.of(tier.value)) for tier in Tier
            ],
            "total": _services(tables.medication.total, tables.counselling.total),
        },
        "persons_served": tables.persons.total.numerator,
    }  # fmt: skip


def _tier(tier: Tier) -> dict[str, Any]:
    return {"tier": PRINTED_TIERS.get(tier, tier.value), "tier_zh": str(tier.label)}


def _rates(measured: Measured) -> dict[str, Any]:
    return {
        "rows": [_tier(tier) | _rate(measured.of(tier.value)) for tier in Tier],
        "total": _rate(measured.total),
    }


def _rate(cell: Cell) -> dict[str, Any]:
    return {"contracted": cell.denominator, "executing": cell.numerator, "execution_rate_percent": cell.said}


def _services(medication: Cell, counselling: Cell) -> dict[str, Any]:
    return {
        "medication_visits": medication.numerator,
        "counselling_visits": counselling.numerator,
        "mean_medication_visits_per_person": medication.said,
        "mean_counselling_visits_per_person": counselling.said,
    }
