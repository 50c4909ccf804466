"""Texts that are kept for later say the same when they are read back, in every language."""

import json
from datetime import UTC, date, datetime, time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quitledger.policy.problem import Problem
from quitledger.policy.sentence_json import packed, packed_problem, unpacked, unpacked_problem
from quitledger.policy.sentences import Clauses, Month, Sentence, Several, Words, Year

VALUES = [
    "資料", 3, Decimal("1.50"), date(2025, 3, 20), datetime(2025, 3, 20, 9, 20, tzinfo=UTC), time(9, 20), Words("用藥"),
    Month(date(2025, 3, 1)), Year(2025), Several([Words("用藥"), date(2025, 3, 20)]), Clauses(["甲", Words("衛教")]),
    Sentence("{day} 已登錄過{service}。", day=date(2025, 3, 20), service=Words("用藥")), Sentence("應為 10 位數字。"),
]  # fmt: skip


def parts(text):
    """A text with all its parts."""
    if isinstance(text, Sentence):
        return text.template, {name: parts(value) for name, value in text.values.items()}
    if isinstance(text, Several):
        return type(text), [parts(one) for one in text.parts]
    return type(text), text


@pytest.mark.parametrize("value", VALUES, ids=lambda value: f"{type(value).__name__} {value}")
def test_a_value_comes_back_as_it_was(value):
    back = unpacked(json.loads(json.dumps(packed(value))))
    assert parts(back) == parts(value)
    assert str(back) == str(value)


@given(name=st.text(), number=st.integers())
def test_a_problem_comes_back_as_it_was(name, number):
    problem = Problem("code", Sentence("{name}有 {number}。", name=name, number=number), "visit_on", "policy")
    back = unpacked_problem(json.loads(json.dumps(packed_problem(problem))))
    assert back == problem
    assert parts(back.message) == parts(problem.message)
