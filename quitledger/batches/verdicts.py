"""What becomes of a row: the rules of its kind are asked, and the answer is one of four words, with all reasons."""

from dataclasses import dataclass, field
from typing import Any

from quitledger.policy.problem import Problem

from .models import Row

# Problems with what is recorded already, not with the row.
CONFLICTS = {
    "visit-exists", "visit-value-differs", "visit-recorded-otherwise", "visit-voided", "case-exists", "birth-differs",
    "chart-no-taken", "case-recorded-otherwise",
}  # fmt: skip


@dataclass
class Verdict:
    """Of one row: its status, the reasons against it, and the record that it became (or is already)."""

    status: str
    problems: list[Problem] = field(default_factory=list)
    record: Any = None


def verdict(problems: list[Problem], *, is_known: bool, record: Any = None) -> Verdict:
    """The verdict that rules' answers come to. `is_known`: what the row says is recorded already."""
    if is_known:
        return Verdict(Row.Status.SAME, record=record)
    if not problems:
        return Verdict(Row.Status.GOOD, record=record)
    conflict = any(problem.code in CONFLICTS for problem in problems)
    return Verdict(Row.Status.CONFLICT if conflict else Row.Status.REFUSED, problems)
