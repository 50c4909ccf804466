"""Every column of everything that is recorded of a person has its decision: emptied or kept."""

from typing import Any

import psycopg
import pytest
from django.apps import apps
from django.db.models import ForeignKey, Model

from quitledger.audit.keeping import kept_tables
from quitledger.cases.models import Person
from quitledger.cases.rules import FTND_ITEMS

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
    assert bool(keeping.person) is bool(keeping.emptied or keeping.days or keeping.removed)


# Words of lists, no free text: cases.rules.FTND_ITEMS, and the codes of visits_medicine by their key.
ANSWERS = {f"cases_baseline.{item.name}" for item in FTND_ITEMS} | {"corrections_application.case_no"}  # the database's


def test_no_column_is_kept_into_which_somebody_types_what_he_likes():
    typed = {
        f"{model._meta.db_table}.{field.column}"
        for model, keeping in DECLARED.items()
        for field in model._meta.concrete_fields
        if field.column in keeping.kept
        and field.get_internal_type() in ("CharField", "TextField", "JSONField", "BinaryField")
        and not field.choices
    }
    assert typed == ANSWERS


@pytest.mark.parametrize("table", list(kept_tables()), ids=lambda table: table.name)
def test_a_row_whose_versions_are_emptied_cannot_have_been_deleted(owner: psycopg.Connection, table: Any):
    """Versions are found by their row; that of a row that is gone would stay."""
    deletes = one(owner, "SELECT has_table_privilege('quitledger_app', %s, 'DELETE')", [table.name])
    assert not (table.keeping.emptied and deletes)
