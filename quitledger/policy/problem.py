"""What a rule answers: a list of problems, never an exception and never only the first one."""

from dataclasses import dataclass

from quitledger.policy.sentences import Words


@dataclass(frozen=True)
class Problem:
    """One reason why something cannot be done: code (stable word, e.g. "window-closed"), message for the institution
    in Chinese naming the rule and what to do next, field it belongs to, and the policy parameter (name) behind it.

    A message with values is a Sentence, so that pages can say it in another language.
    """

    code: str
    message: str
    field: str | None = None
    policy: str | None = None

    def __post_init__(self) -> None:
        if type(self.message) is str:  # without values: a text of ours all the same
            object.__setattr__(self, "message", Words(self.message))


class Refused(Exception):
    """A write was refused; `problems` says why, all of it. Codes alone stand in its text: messages may name people."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(problem.code for problem in problems))
        self.problems = problems


def refuse_where(problems: list[Problem]) -> None:
    """Raises Refused where there is any problem."""
    if problems:
        raise Refused(problems)
