"""What can go wrong in a command, told in one sentence in Chinese and the same in English; never a traceback."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import click

from quitledger.accounts.keys import KeysUnavailable
from quitledger.policy.problem import Problem, Refused

from .binaries import PostgresError

_NOT_MIGRATED = ("42P01", "42883", "42703")  # PostgreSQL: undefined table, function, column


class Fault(click.ClickException):
    """An expected fault; ends a command with exit code 1."""

    def __init__(self, chinese: str, english: str) -> None:
        super().__init__(f"{chinese}\n{english}")


def sentences(problems: Iterable[Problem]) -> list[str]:
    """The messages of the problems, one a line."""
    return [problem.message for problem in problems]


@contextmanager
def told() -> Iterator[None]:
    """Turn what is expected to go wrong in a command into a Fault."""
    from django.db import DatabaseError, OperationalError, ProgrammingError

    try:
        yield
    except Refused as refused:
        raise click.ClickException("\n".join(sentences(refused.problems))) from None
    except (PostgresError, KeysUnavailable) as error:
        raise click.ClickException(str(error)) from None
    except OperationalError as error:
        reason = str(error).strip().splitlines()[0]
        raise Fault(f"資料庫沒有回應：{reason}", f"The database does not answer: {reason}") from None
    except ProgrammingError as error:
        if getattr(error.__cause__, "sqlstate", None) not in _NOT_MIGRATED:
            raise
        raise Fault(
            "資料庫還沒有這個版本的資料表，請先執行 quitledger db migrate。",
            "The database lacks tables of this version: run quitledger db migrate first.",
        ) from None
    except DatabaseError as error:
        constraint = getattr(getattr(error.__cause__, "diag", None), "constraint_name", None) or type(error).__name__
        raise Fault(f"資料庫拒絕了（{constraint}）。", f"The database refused it ({constraint}).") from None
