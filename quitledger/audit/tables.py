"""The tables of a room, made by one operation of its migration."""

from typing import Any

from django.db.migrations import CreateModel
from django.db.migrations.operations.base import Operation


class CreateModels(Operation):
    """Each of `models`, after Django has drawn them all once.

    Made one by one it would draw, at each, every model anew that leads to it by keys in either direction: in the end all.
    Keys and indexes are made here and not, as Django does it, after all other operations: SQL that follows stands on them,
    and the migration is noted down in its own transaction.
    """

    reversible = False

    def __init__(self, *models: CreateModel) -> None:
        self.models = models

    def state_forwards(self, app_label: str, state: Any) -> None:
        """The models as they are from here on, to be drawn when somebody asks for one."""
        state.__dict__.pop("apps", None)
        for model in self.models:
            model.state_forwards(app_label, state)

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        """Their tables, keys and indexes."""
        for model in self.models:
            model.database_forwards(app_label, schema_editor, from_state, to_state)
        while schema_editor.deferred_sql:
            schema_editor.execute(schema_editor.deferred_sql.pop(0))

    def describe(self) -> str:
        """What `migrate --plan` says."""
        return f"Create the tables {', '.join(model.name for model in self.models)}"
