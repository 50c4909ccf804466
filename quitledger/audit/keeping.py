"""What becomes of a table's columns when the time for which a person's records are kept has ended: data beside a model."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from django.apps import apps
from django.db.models import DateTimeField, Model


@dataclass(frozen=True)
class Keeping:
    """Every column of a model is in `emptied` or in `kept`, unless its rows are `removed`: nothing is left undecided.

    `person`: whose a row is, as SQL, where there is anything to ask or to do. `emptied`: column → what it says afterwards,
    as SQL, the same however often it is emptied. `kept`: the columns that stay. `days`: columns whose day is a day of the
    person's records. `run`: the column that names the run. `removed`: no record, its rows go altogether.
    """

    person: str = ""
    kept: tuple[str, ...] = ()
    emptied: Mapping[str, str] = field(default_factory=dict)
    days: tuple[str, ...] = ()
    run: str = ""
    removed: bool = False


STAMPED = {"version": "version + 1", "changed_at": "programme_now()", "changed_by_id": "current_account()"}


@dataclass(frozen=True)
class KeptTable:
    """A table with a Keeping, in the words of SQL. `days`: its expressions of a day; `institution`: of where, or NULL."""

    name: str
    keeping: Keeping
    days: tuple[str, ...]
    institution: str
    stamped: Mapping[str, str]

    def differs(self) -> str:
        """The condition under which a row still says something that is to be emptied."""
        return " OR ".join(f"({column} IS DISTINCT FROM {value})" for column, value in self.keeping.emptied.items())


def kept_tables() -> Iterator[KeptTable]:
    """Every table of persons' records, lowest room first."""
    for model in apps.get_models():
        keeping = getattr(model, "keeping", None)
        if keeping is not None:
            yield _table(model, keeping)


def _table(model: type[Model], keeping: Keeping) -> KeptTable:
    columns = {column.column: column for column in model._meta.concrete_fields}
    days = tuple(
        f"({day} AT TIME ZONE 'Asia/Taipei')::date" if isinstance(columns[day], DateTimeField) else day
        for day in keeping.days
    )
    stamped = {column: value for column, value in STAMPED.items() if column in columns}
    institution = "institution_id" if "institution_id" in columns else "NULL::bigint"
    return KeptTable(model._meta.db_table, keeping, days, institution, stamped)
