"""Filters and tags of the pages; nothing here needs a database."""

from datetime import UTC, date, datetime, timedelta

import pytest
from django.core.paginator import Paginator
from django.template import Context, Template, TemplateSyntaxError
from django.test import RequestFactory

from quitledger.accounts.actors import ANYBODY, Actor
from quitledger.accounts.permissions import Permission, Role
from quitledger.policy import TAIPEI
from quitledger.portal.context import May
from quitledger.visits.rules import Timeliness, month_closes_at

DAY = date(2025, 4, 1)
NOW = datetime(2025, 4, 1, 9, 30, tzinfo=TAIPEI)


def rendered(text: str, address: str = "/visits", **context: object) -> str:
    return Template(text).render(Context({"request": RequestFactory().get(address), **context})).strip()


def test_days_are_shown_in_roc_form() -> None:
    shown = rendered("{{ day|roc }} {{ day|roc_weekday }} {{ day|roc_month }} {{ day|month_only }}", day=DAY)
    assert shown == "114/04/01 114/04/01（二） 114 年 4 月 4 月"
    assert rendered("{{ day|roc_long }}", day=DAY) == "114 年 4 月 1 日，星期二"
    assert rendered("{{ day|roc }}{{ day|roc_weekday }}{{ day|moment }}", day=None) == ""


def test_moments_are_shown_in_taipei_whatever_zone_they_come_in() -> None:
    assert (
        rendered("{{ at|moment }} {{ at|clock }}", at=datetime(2025, 3, 31, 8, 42, tzinfo=UTC))
        == "114/03/31 16:42 16:42"
    )


def test_midnight_belongs_to_the_day_that_ends() -> None:
    assert rendered("{{ at|moment }}", at=month_closes_at(date(2025, 2, 1))) == "114/03/20 24:00"


@pytest.mark.parametrize(
    ("left", "words"),
    [
        (timedelta(days=19, hours=14, minutes=30), "剩 19 天 14 小時"),
        (timedelta(days=21, minutes=5), "剩 21 天"),
        (timedelta(hours=14, minutes=30), "剩 14 小時 30 分"),
        (timedelta(hours=2), "剩 2 小時"),
        (timedelta(minutes=45), "剩 45 分"),
        (timedelta(seconds=59), "剩不到 1 分"),
        (timedelta(), "已截止"),
        (timedelta(days=-3), "已截止"),
    ],
)
def test_time_left_is_said_in_words(left: timedelta, words: str) -> None:
    assert rendered("{{ until|left_until:now }}", until=NOW + left, now=NOW) == words


def test_little_time_left_is_marked() -> None:
    text = "{% time_left until now %}"
    assert rendered(text, until=NOW + timedelta(days=2), now=NOW) == '<span class="left left--soon">剩 2 天</span>'
    assert rendered(text, until=NOW + timedelta(days=4), now=NOW) == '<span class="left">剩 4 天</span>'
    assert rendered(text, until=NOW, now=NOW) == '<span class="left">已截止</span>'


def test_the_window_bar_says_what_it_draws() -> None:
    text = '{% window_bar opens_on until now "3 月登錄期間" %}'
    html = rendered(text, opens_on=date(2025, 3, 1), until=month_closes_at(date(2025, 3, 1)), now=NOW)
    assert "可登錄、修改至 114/04/20 24:00" in html
    assert '<progress max="51" value="31" aria-label="3 月登錄期間 51 天已過 31 天">31／51</progress>' in html


@pytest.mark.parametrize(
    ("timeliness", "html"),
    [
        (Timeliness.PROMPT, '<span class="tag tag--ok">24 小時內</span>'),
        ("in_window", '<span class="tag tag--in">期限內</span>'),
        (Timeliness.LATE, '<span class="tag tag--late">補登</span>'),
    ],
)
def test_timeliness_has_its_word_and_its_shape(timeliness: str, html: str) -> None:
    assert rendered("{% timeliness_tag t %}", t=timeliness) == html


def test_a_tag_escapes_its_words() -> None:
    assert rendered("{% tag 'warn' words %}", words="<b>") == '<span class="tag tag--warn">&lt;b&gt;</span>'


def test_the_pager_keeps_the_other_conditions() -> None:
    page = Paginator(range(252), 9).page(2)
    html = rendered("{% pager page %}", "/visits?month=114%2F03&page=2", page=page)
    assert "每頁 9 筆，共 28 頁" in html
    assert 'href="?month=114%2F03&amp;page=3" rel="next"' in html
    assert 'aria-current="page"' in html
    assert "…" in html


def test_one_page_needs_no_pager() -> None:
    assert rendered("{% pager page %}", page=Paginator(range(3), 9).page(1)) == ""


def test_a_heading_sorts_up_then_down_and_starts_at_the_first_page() -> None:
    text = '{% sort_heading "登錄時間" "recorded_at" default="-recorded_at" %}'
    assert 'aria-sort="descending"' in rendered(text)
    assert 'href="?sort=recorded_at"' in rendered(text, "/visits?page=4")
    assert 'href="?sort=-recorded_at"' in rendered(text, "/visits?sort=recorded_at")
    assert "aria-sort" not in rendered(text, "/visits?sort=visit_on")


def test_may_answers_by_the_name_of_the_permission() -> None:
    desk = May(Actor(account_id=1, scope=0, role=Role.DESK_OFFICER))
    text = "{% if may.visit_read %}reads{% endif %}{% if may.visit_record %}records{% endif %}"
    assert rendered(text, may=desk) == "reads"
    assert rendered(text, may=May(ANYBODY)) == ""
    assert all(isinstance(desk[permission.name.lower()], bool) for permission in Permission)


def test_a_permission_that_does_not_exist_is_an_error_of_the_page() -> None:
    with pytest.raises(LookupError, match="visit_recrod"):
        rendered("{% if may.visit_recrod %}x{% endif %}", may=May(ANYBODY))


def test_tags_need_no_load() -> None:
    with pytest.raises(TemplateSyntaxError):
        Template("{% no_such_tag %}")
    assert rendered("{% translate '首頁' %}") == "首頁"
