"""What becomes of a row: the rules of its kind are asked, and the answer is one of four words, with all reasons."""

from dataclasses import dataclass, field

from quitledger.policy.problem import Problem

from .models import Row

# Problems with what is recorded already, not with the row.
CONFLICTS = {
    "visit-exists", "visit-value-differs", "visit-recorded-otherwise", "visit-voided", "case-exists", "birth-differs",
    "chart-no-taken", "case-recorded-otherwise", "baseline-exists",
}  # fmt: skip


@dataclass
class Verdict:
    """Of one row: its status, and the reasons against it."""

    status: str
    problems: list[Problem] = field(default_factory=list)


def verdict(problems: list[Problem], *, is_known: bool) -> Verdict:
    """The verdict that rules' answers come to. `is_known`: what the row says is recorded already."""
    if is_known:
        return Verdict(Row.Status.SAME)
    if not problems:
        return Verdict(Row.Status.GOOD)
    conflict = any(problem.code in CONFLICTS for problem in problems)
    return Verdict(Row.Status.CONFLICT if conflict else Row.Status.REFUSED, problems)
