"""Every column of everything that is recorded of a person has its decision: emptied or kept."""

from typing import Any

import psycopg
import pytest
from django.apps import apps
from django.db.models import ForeignKey, Model

from quitledger.audit.keeping import kept_tables
from quitledger.cases.models import Person

from ..sql import one

DECLARED = {model: model.keeping for model in apps.get_models() if hasattr(model, "keeping")}


def of_persons() -> set[type[Model]]:
    """The person, and every model whose rows lead to one."""
    found: set[type[Model]] = {Person}
    while new := {
        model
        for model in apps.get_models()
        if model not in found
        and any(isinstance(field, ForeignKey) and field.related_model in found for field in model._meta.fields)
    }:
        found |= new
    return found


def test_every_table_whose_rows_are_of_a_person_says_what_becomes_of_them():
    assert of_persons() == DECLARED.keys()


@pytest.mark.parametrize("model", DECLARED, ids=lambda model: model._meta.label)
def test_every_column_is_decided(model):
    """A new one fails here: say in the model's `keeping` whether it is emptied or kept."""
    keeping = DECLARED[model]
    decided = [*keeping.emptied, *keeping.kept, *([keeping.run] if keeping.run else [])]
    columns = {field.column for field in model._meta.concrete_fields}
    assert len(decided) == len(set(decided))
    assert set(decided) == (set() if keeping.removed else columns)
    assert set(keeping.days) <= columns


def test_what_is_emptied_is_text_a_number_that_identifies_or_a_birth_date(owner):
    """And what is kept is none that somebody may type what he likes into."""
    free = set()
    for model, keeping in DECLARED.items():
        for field in model._meta.concrete_fields:
            if field.get_internal_type() in ("CharField", "TextField", "JSONField") and not field.choices:
                if field.column in keeping.kept:
                    free.add(f"{model._meta.label}.{field.column}")
    assert free == {
        # Words of lists: cases.rules.FTND_ITEMS, visits_medicine.
        *(f"cases.Baseline.{item}" for item in ANSWERS),
    }


ANSWERS = (
    *("first_cigarette", "hard_to_refrain", "hardest_to_give_up", "most_cigarettes", "more_in_first_hours"),
    "smokes_when_ill",
)


@pytest.mark.parametrize("table", list(kept_tables()), ids=lambda table: table.name)
def test_a_row_whose_versions_are_emptied_cannot_have_been_deleted(owner: psycopg.Connection, table: Any):
    """Versions are found by their row; that of a row that is gone would stay."""
    deletes = one(owner, "SELECT has_table_privilege('quitledger_app', %s, 'DELETE')", [table.name])
    assert not (table.keeping.emptied and deletes)
