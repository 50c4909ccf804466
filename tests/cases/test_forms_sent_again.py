"""A form sent again: the same contents are the same record, other contents are refused in words."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from uuid import uuid4

import pytest

from quitledger.accounts.scope import scoped
from quitledger.cases.services import BaselineEntry, Registration, record_baseline, register_case
from quitledger.policy import Refused
from quitledger.policy.identity import IdentityKind, make_up

from .. import world


def registration(*, serial: int, name: str) -> Registration:
    """A made-up person."""
    return Registration(
        uuid4(), IdentityKind.NATIONAL_ID, make_up(serial), "", date(1985, 1, 2), "male", name, f"S-{serial}", ""
    )


def test_a_registration_form_sent_again_for_somebody_else_is_refused_and_not_lost_in_silence(db):
    recorder = world.actor("recorder")
    with scoped(recorder):
        first = registration(serial=71, name="示範一號")
        register_case(first, today=world.TODAY, made_up_allowed=True, by=recorder)
        again = register_case(first, today=world.TODAY, made_up_allowed=True, by=recorder)
        assert again.uid == first.uid
        with pytest.raises(Refused) as refused:
            register_case(
                replace(first, identity_number=make_up(72), name="示範二號"),
                today=world.TODAY, made_up_allowed=True, by=recorder,
            )  # fmt: skip
        assert [problem.code for problem in refused.value.problems] == ["case-recorded-otherwise"]


def test_an_intake_form_sent_again_with_other_answers_is_refused(db):
    recorder = world.actor("recorder")
    with scoped(recorder):
        case = world.case()
        first = BaselineEntry(uuid4(), world.TODAY, world.FTND, 12, None, Decimal("70.0"), pregnant=False, insured=True)
        recorded = record_baseline(case=case, entry=first, today=world.TODAY, by=recorder)
        assert record_baseline(case=case, entry=first, today=world.TODAY, by=recorder).pk == recorded.pk
        with pytest.raises(Refused) as refused:
            record_baseline(case=case, entry=replace(first, cigarettes_per_day=30), today=world.TODAY, by=recorder)
        assert [problem.code for problem in refused.value.problems] == ["baseline-recorded-otherwise"]
