"""What a plan finds, what a run empties, what it leaves, and what the database holds of it by itself."""

from typing import Any

import pytest

from ..sql import one
from .conftest import TEXTS


def everything_said(owner: Any) -> str:
    """The text of every row of every table that says anything of people, histories too; accounts are no patients."""
    tables = owner.execute(
        "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace"
        " AND relname !~ '^(institutions|accounts|django|procrastinate)_'"
    ).fetchall()
    return "\n".join(one(owner, f"SELECT coalesce(string_agg(t::text, '\n'), '') FROM {name} t") for (name,) in tables)


def test_a_run_leaves_nothing_that_tells_who_somebody_was(kept, owner):
    before = everything_said(owner)
    assert all(text in before for text in TEXTS)
    kept.done()
    after = everything_said(owner)
    assert [text for text in TEXTS if text in after] == []


def test_what_was_emptied_is_told_by_a_verification_and_is_no_tampering(kept, owner):
    kept.done()
    report = kept.ledger.verify()
    assert report.findings == []
    assert list(report.rewritten) == ["retention 1"]
    kept.ledger.checkpoint()
    assert kept.ledger.verify().findings == []
