"""Every way between the states of an application is gone once, by whoever goes it; a way without a walker here fails."""

from collections.abc import Callable
from datetime import date
from typing import Any
from uuid import uuid4

import pytest

from quitledger.corrections import services
from quitledger.corrections.models import Application, StepTaken
from quitledger.corrections.rules import TRANSITIONS, State, Step
from quitledger.corrections.services import Decision

from .. import world
from .scene import APPROVED, claimed, decided, late, sent, step, submitted, written

REJECTED = Decision("rejected", "evidence")
Walk = Callable[..., Application]


def alone(owner: Any) -> None:
    """The clinic has one account left: its recorder."""
    owner.execute(
        "UPDATE institutions_membership SET ends_on = '2025-03-01' WHERE user_id IN"
        " (SELECT id FROM accounts_user WHERE username IN ('supervisor', 'colleague', 'both'))"
    )


def one() -> Any:
    return [late()]


def two() -> Any:
    """Items that can be decided apart."""
    return [late(), late(date(2025, 2, 1))]


def draft(items: Any = one) -> Application:
    with step("recorder") as by:
        return written(items(), by)


def after(application: Application, username: str, do: Walk, **said: Any) -> Application:
    """The application, after somebody has taken a step with it."""
    with step(username) as by:
        return do(application=application, version=application.version, by=by, **said)


def asked() -> Application:
    return after(claimed(one), "desk_officer", services.ask_institution, text="請補第 2 頁")


def signed_alone(owner: Any, *decisions: Decision, items: Any = one) -> Application:
    """Of an institution of one account, decided by the first of two."""
    alone(owner)
    application = after(draft(items), "recorder", services.sign_application)
    return decided(after(application, "desk_officer", services.claim_application), *decisions)


def registered() -> Application:
    with step("desk_officer") as by:
        return services.register_on_paper(
            uid=uuid4(), case=world.case(), reason="漏登", discovered_on=world.TODAY, received_on=world.TODAY,
            items=one(), by=by,
        )  # fmt: skip


def rewritten() -> Application:
    application = draft()
    with step("recorder") as by:
        return services.rewrite_application(
            application=application, version=1, reason="另一個原因", discovered_on=application.discovered_on,
            items=services.items_of(application), by=by,
        )  # fmt: skip


def withdrawn(application: Application) -> Application:
    return after(application, "recorder", services.withdraw_application, text="不需要了")


S = State
WALKS: dict[tuple[Step, State | None, State], Callable[[Any], Application]] = {
    (Step.WRITE, None, S.DRAFT): lambda owner: draft(),
    (Step.REWRITE, S.DRAFT, S.DRAFT): lambda owner: rewritten(),
    (Step.SUBMIT, S.DRAFT, S.TO_SIGN): lambda owner: submitted(one),
    (Step.SIGN, S.TO_SIGN, S.NEW): lambda owner: sent(one),
    (Step.SIGN, S.DRAFT, S.NEW): lambda owner: alone(owner) or after(draft(), "recorder", services.sign_application),
    (Step.HAND_BACK, S.TO_SIGN, S.DRAFT): lambda owner: after(
        submitted(one), "supervisor", services.hand_back_application, text="請寫明原因"
    ),
    (Step.WITHDRAW, S.DRAFT, S.WITHDRAWN): lambda owner: withdrawn(draft()),
    (Step.WITHDRAW, S.TO_SIGN, S.WITHDRAWN): lambda owner: withdrawn(submitted(one)),
    (Step.WITHDRAW, S.NEW, S.WITHDRAWN): lambda owner: withdrawn(sent(one)),
    (Step.WITHDRAW, S.IN_REVIEW, S.WITHDRAWN): lambda owner: withdrawn(claimed(one)),
    (Step.WITHDRAW, S.WAITING, S.WITHDRAWN): lambda owner: withdrawn(asked()),
    (Step.REGISTER, None, S.NEW): lambda owner: registered(),
    (Step.CLAIM, S.NEW, S.IN_REVIEW): lambda owner: claimed(one),
    (Step.RELEASE, S.IN_REVIEW, S.NEW): lambda owner: after(claimed(one), "desk_officer", services.release_application),
    (Step.ASK, S.IN_REVIEW, S.WAITING): lambda owner: asked(),
    (Step.ANSWER, S.WAITING, S.IN_REVIEW): lambda owner: after(
        asked(), "colleague", services.answer_application, text="已補"
    ),
    (Step.DECIDE, S.IN_REVIEW, S.APPROVED): lambda owner: decided(claimed(one)),
    (Step.DECIDE, S.IN_REVIEW, S.REJECTED): lambda owner: decided(claimed(one), REJECTED),
    (Step.DECIDE, S.IN_REVIEW, S.IN_PART): lambda owner: decided(claimed(two), APPROVED, REJECTED),
    (Step.DECIDE, S.IN_REVIEW, S.SECOND): lambda owner: signed_alone(owner),
    (Step.CONFIRM, S.SECOND, S.APPROVED): lambda owner: after(
        signed_alone(owner), "desk_supervisor", services.confirm_application, text=""
    ),
    (Step.CONFIRM, S.SECOND, S.IN_PART): lambda owner: after(
        signed_alone(owner, APPROVED, REJECTED, items=two), "desk_supervisor", services.confirm_application, text=""
    ),
    (Step.REFER_BACK, S.SECOND, S.IN_REVIEW): lambda owner: after(
        signed_alone(owner), "desk_supervisor", services.refer_back, text="請再看病歷"
    ),
}  # fmt: skip


def test_every_way_is_gone() -> None:
    ways = {
        (step_, before, to) for step_, way in TRANSITIONS.items() for before in way.from_states for to in way.to_states
    }
    assert set(WALKS) == ways


@pytest.mark.parametrize("way", WALKS, ids=lambda way: "-".join(str(part or "none") for part in way))
def test_a_way_leads_where_the_table_says_and_is_told(way: Any, committed: Any, owner: Any) -> None:
    taken, before, to = way
    application = WALKS[way](owner)
    assert application.state == to
    with step("supervisor" if application.sent_at is None else "desk_officer"):
        last = StepTaken.objects.filter(application=application).last()
        assert (last.step, last.from_state, last.to_state) == (taken, before or "", to)
