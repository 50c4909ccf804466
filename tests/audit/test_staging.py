"""Many rows at once: what is copied in is what was given, and what is done aside comes in order, or not at all."""

import time
from datetime import UTC, date, datetime
from threading import current_thread
from uuid import UUID

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from quitledger.accounts.actors import SYSTEM
from quitledger.accounts.scope import scoped
from quitledger.audit.database import among
from quitledger.audit.staging import Aside, as_copied, copy_in
from quitledger.cases.models import Case

_TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))
_ROWS = st.lists(
    st.tuples(
        st.none() | _TEXTS, st.none() | st.integers(-(2**63), 2**63 - 1), st.none() | st.binary(), st.none() | st.booleans(),
        st.none() | st.dates(), st.none() | st.datetimes(timezones=st.just(UTC)), st.none() | st.uuids(),
    )
)  # fmt: skip
_COLUMNS = ("words", "number", "token", "told", "day", "moment", "uid")


def test_what_is_copied_in_is_what_was_given(db):
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TEMP TABLE copied (words text, number bigint, token bytea, told boolean, day date, moment timestamptz,"
            " uid uuid) ON COMMIT DROP"
        )

        @given(_ROWS)
        def check(rows):
            cursor.execute("TRUNCATE copied")
            copy_in("copied", _COLUMNS, as_copied(rows))
            cursor.execute("SELECT * FROM copied")
            assert cursor.fetchall() == rows

        check()


def test_the_words_of_copy_are_words_like_others(db):
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE copied (words text) ON COMMIT DROP")
        words = [r"\N", "\\.", r"\x41", "a\tb", "a\nb", "a\r\nb", "", "𠮷", r"\\", "'\"'"]
        copy_in("copied", ["words"], as_copied([[word] for word in words]))
        cursor.execute("SELECT words FROM copied")
        assert [word for (word,) in cursor.fetchall()] == words


def test_a_text_that_is_none_is_refused():
    with pytest.raises(UnicodeEncodeError):
        as_copied([["\ud800"]])


def test_each_kind_of_value_has_its_own_way():
    row = [None, "a", 1, b"\x01", True, date(2025, 3, 1), datetime(2025, 3, 1, 8, tzinfo=UTC), UUID(int=1)]
    assert as_copied([row]).decode() == (
        "\\N\ta\t1\t\\\\x01\tTrue\t2025-03-01\t2025-03-01 08:00:00+00:00\t00000000-0000-0000-0000-000000000001\n"
    )


def test_what_is_worked_on_aside_comes_in_order_while_the_one_before_is_used():
    begun = []

    def work(item):
        begun.append(item)
        time.sleep(0.001)
        return item * 2, current_thread().name

    with Aside() as aside:
        used = []
        for doubled, thread in aside.ahead(work, iter(range(5))):
            assert thread != current_thread().name
            used.append(doubled)
            if len(used) == 2:
                time.sleep(0.02)
                assert begun == [0, 1, 2], "one ahead, no more"
    assert used == [0, 2, 4, 6, 8]


def test_two_kinds_of_work_take_turns_aside():
    with Aside() as aside:
        tens = aside.ahead(lambda n: n * 10, iter(range(4)))
        assert list(aside.ahead(lambda n: n + 1, tens)) == [1, 11, 21, 31]


def test_nothing_aside_is_nothing():
    with Aside() as aside:
        assert list(aside.ahead(str, [])) == []


def test_what_goes_wrong_aside_is_told_where_it_is_used():
    def work(item):
        if item == 2:
            raise LookupError(item)
        return item

    used = []
    with pytest.raises(LookupError), Aside() as aside:  # noqa: PT012 - what was used before is asked for
        for item in aside.ahead(work, iter(range(100))):
            used.append(item)
    assert used == [0, 1]


@pytest.mark.parametrize("count", [0, 1, 1_000])
def test_among_finds_what_a_list_finds(db, count):
    with scoped(SYSTEM):
        known = list(Case.objects.values_list("uid", flat=True))
        uids = [*known[:count], *(UUID(int=n) for n in range(count))]
        found = set(Case.objects.filter(uid__in=among(uids, "uuid")))
        assert found == set(Case.objects.filter(uid__in=uids))
        assert bool(found) == bool(count)
