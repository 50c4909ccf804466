"""Sentences that remember what they were made of."""

import copy
import pickle
from datetime import date, datetime, time

from quitledger.policy import TAIPEI, Month, Sentence, Several, Words, Year

DAY = date(2025, 2, 15)


def test_a_sentence_is_its_chinese_text():
    sentence = Sentence(
        "{service}：{day}、{month}、{year} 年、{time}、{closing}、{days}、{number}",
        service=Words("用藥"), day=DAY, month=Month(DAY), year=Year(2025), time=time(9, 5), number=3,
        closing=datetime(2025, 3, 21, tzinfo=TAIPEI), days=Several([DAY, DAY]),
    )  # fmt: skip
    assert sentence == "用藥：114/02/15、114 年 2 月、114 年、09:05、114/03/20 24:00、114/02/15、114/02/15、3"


def test_a_value_may_hold_braces_and_so_may_a_sentence_without_values():
    assert Sentence("「{name}」。", name="{name}") == "「{name}」。"
    assert Sentence("{}") == "{}"


def test_a_sentence_is_said_in_another_language_with_the_same_values():
    sentence = Sentence("{day} 的{service}。", day=DAY, service=Words("用藥"))
    assert sentence.said("{service} on {day}.", lambda value: f"<{value}>") == "<用藥> on <2025-02-15>."


def test_a_sentence_can_be_copied():
    sentence = Sentence("{days} 的{service}。", days=Several([DAY]), service=Words("用藥"))
    for same in (copy.deepcopy(sentence), pickle.loads(pickle.dumps(sentence))):
        assert same == sentence
        assert (same.template, same.values) == (sentence.template, sentence.values)
        assert same.values["days"].parts == (DAY,)
