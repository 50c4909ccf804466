"""Dates as people in Taiwan write them: what is read, what is refused and in which words, and how dates are shown."""

import re
from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from quitledger.policy import (
    TAIPEI,
    DateError,
    format_roc,
    format_roc_month,
    format_roc_weekday,
    parse_date,
    parse_moment,
    parse_month,
    parse_time,
)

READABLE = st.dates(date(1800, 1, 1), date(2910, 12, 31))

DATES = {
    "114/2/15": date(2025, 2, 15),
    "114/02/15": date(2025, 2, 15),
    "1140215": date(2025, 2, 15),
    "114-2-15": date(2025, 2, 15),
    "114.2.15": date(2025, 2, 15),
    "民國114年2月15日": date(2025, 2, 15),
    "民國 114 年 2 月 15 日": date(2025, 2, 15),
    "中華民國114年2月15日": date(2025, 2, 15),
    "民國114/2/15": date(2025, 2, 15),
    "114年2月15日": date(2025, 2, 15),
    "西元2025年2月15日": date(2025, 2, 15),
    "2025年2月15日": date(2025, 2, 15),
    "2025-02-15": date(2025, 2, 15),
    "2025/2/15": date(2025, 2, 15),
    "20250215": date(2025, 2, 15),
    "  114/2/15\t": date(2025, 2, 15),
    "１１４／０２／１５": date(2025, 2, 15),
    "１１４０２１５": date(2025, 2, 15),
    "　民國１１４年２月１５日　": date(2025, 2, 15),
    "69/2/3": date(1980, 2, 3),
    "69/02/03": date(1980, 2, 3),
    "069/02/03": date(1980, 2, 3),
    "690203": date(1980, 2, 3),
    "0690203": date(1980, 2, 3),
    "5/2/3": date(1916, 2, 3),
    "1/1/1": date(1912, 1, 1),
    "民國元年1月1日": date(1912, 1, 1),
    "民前1年2月3日": date(1911, 2, 3),
    "民國前1年2月3日": date(1911, 2, 3),
    "民國前 1/02/03": date(1911, 2, 3),
    "民前元年2月3日": date(1911, 2, 3),
    "-1/2/3": date(1911, 2, 3),
    "－１／２／３": date(1911, 2, 3),
    "-1-2-3": date(1911, 2, 3),
    "-0010203": date(1911, 2, 3),
    "民前112年1月1日": date(1800, 1, 1),
    "1911/12/31": date(1911, 12, 31),
    "113/2/29": date(2024, 2, 29),
    "999/12/31": date(2910, 12, 31),
}

REFUSED_DATES = {
    "": "請填日期，寫成 114/2/15、1140215 或 2025-02-15。",
    " 　": "請填日期，寫成 114/2/15、1140215 或 2025-02-15。",
    "114/2/30": "114/2/30 不存在：114 年 2 月只有 28 日。",
    "1140230": "114/2/30 不存在：114 年 2 月只有 28 日。",
    "2024-02-30": "2024/2/30 不存在：2024 年 2 月只有 29 日。",
    "100/2/29": "100/2/29 不存在：100 年 2 月只有 28 日。",
    "民前1年2月29日": "民國前 1/2/29 不存在：民國前 1 年 2 月只有 28 日。",
    "114/4/31": "114/4/31 不存在：114 年 4 月只有 30 日。",
    "114/2/0": "114/2/0 不存在：日從 1 起算。",
    "114/13/1": "114/13/1 不存在：月份是 1 到 12。",
    "114/0/1": "114/0/1 不存在：月份是 1 到 12。",
    "0/1/1": "沒有民國 0 年：民國 1 年的前一年是民國前 1 年。",
    "-0/1/1": "沒有民國 0 年：民國 1 年的前一年是民國前 1 年。",
    "1799/12/31": "年份要在西元 1800 到 2910 年（民國 999 年）之間。",
    "2911/1/1": "年份要在西元 1800 到 2910 年（民國 999 年）之間。",
    "0114/2/15": "年份要在西元 1800 到 2910 年（民國 999 年）之間。",
    "民國2025年2月15日": "年份要在西元 1800 到 2910 年（民國 999 年）之間。",
    "西元114年2月15日": "年份要在西元 1800 到 2910 年（民國 999 年）之間。",
}
NO_DATES = ["114/2", "114/2-15", "114 2 15", "10203", "114/2/15/1", "2/15", "二〇二五年二月十五日"]
STRANGE = [
    "昨天",
    "A123456789",
    "114/2/15\x00",
    "\x00",
    "١١٤/٢/١٥",
    "①①④/②/①⑤",
    "²/²/²",
    "👍",
    "𠮷",
    "\ud800",
    "9" * 30,
    "9" * 5000 + "/1/1",
    "1" + " " * 100_000 + "x",
    "=1+1",
]


@pytest.mark.parametrize("text", DATES)
def test_a_date_is_read_in_every_form_in_use(text):
    assert parse_date(text) == DATES[text]


@pytest.mark.parametrize("text", REFUSED_DATES)
def test_a_day_that_does_not_exist_is_refused_with_one_sentence(text):
    with pytest.raises(DateError) as refused:
        parse_date(text)
    assert str(refused.value) == REFUSED_DATES[text]
    assert isinstance(refused.value, ValueError)


@pytest.mark.parametrize("text", NO_DATES + STRANGE)
def test_a_text_that_is_no_date_is_refused_without_repeating_it(text):
    with pytest.raises(DateError) as refused:
        parse_date(text)
    assert str(refused.value) == "看不懂這個日期，請寫成 114/2/15、1140215 或 2025-02-15。"


def test_six_digits_are_a_two_digit_roc_year_and_never_a_western_one():
    with pytest.raises(DateError, match="^11/40/21 不存在：月份是 1 到 12。$"):
        parse_date("114021")


@given(READABLE)
@example(date(1911, 12, 31))
@example(date(1912, 1, 1))
@example(date(2010, 12, 31))
@example(date(2011, 1, 1))
def test_what_is_shown_can_be_typed_in_again(day):
    assert parse_date(format_roc(day)) == day
    assert parse_date(day.isoformat()) == day
    assert parse_date(f"{day:%Y%m%d}") == day
    assert parse_month(format_roc_month(day)) == day.replace(day=1)


@given(st.dates(date(1912, 1, 1), date(2910, 12, 31)))
def test_the_compact_form_of_the_claim_files_is_read(day):
    assert parse_date(f"{day.year - 1911:03d}{day:%m%d}") == day
    assert parse_month(f"{day.year - 1911:03d}{day:%m}") == day.replace(day=1)


@given(st.integers(1, 999), st.integers(0, 99), st.integers(0, 99), st.sampled_from("/-."))
def test_a_date_is_read_exactly_when_its_day_exists(year, month, day, mark):
    text = f"{year}{mark}{month}{mark}{day}"
    try:
        expected = date(year + 1911, month, day)
    except ValueError:
        with pytest.raises(DateError, match=f"^{year}/{month}/{day} 不存在："):
            parse_date(text)
    else:
        assert parse_date(text) == expected


def read_or_reason(parse, text):
    try:
        return parse(text)
    except DateError as refused:
        return str(refused)


@pytest.mark.parametrize("parse", [parse_date, parse_month, parse_time, parse_moment])
@given(text=st.text() | st.text(alphabet="0123456789/-.:年月日民國前元西 TZ+０１／：٣\x00", max_size=30))
def test_any_text_is_read_or_refused_with_one_chinese_sentence(parse, text):
    found = read_or_reason(parse, text)
    assert isinstance(found, date | time) or re.fullmatch(r"[^。\n]*[\u4e00-\u9fff][^。\n]*。", found)


@pytest.mark.parametrize("parse", [parse_date, parse_month, parse_time, parse_moment])
@pytest.mark.parametrize("text", STRANGE)
def test_strange_texts_are_refused_by_every_parser(parse, text):
    with pytest.raises(DateError):
        parse(text)


@pytest.mark.parametrize(
    ("day", "shown", "with_weekday", "month"),
    [
        (date(2025, 2, 15), "114/02/15", "114/02/15（六）", "114 年 2 月"),
        (date(2025, 2, 16), "114/02/16", "114/02/16（日）", "114 年 2 月"),
        (date(2025, 12, 1), "114/12/01", "114/12/01（一）", "114 年 12 月"),
        (date(1980, 2, 3), "69/02/03", "69/02/03（日）", "69 年 2 月"),
        (date(1912, 1, 1), "1/01/01", "1/01/01（一）", "1 年 1 月"),
        (date(1911, 12, 31), "民國前 1/12/31", "民國前 1/12/31（日）", "民國前 1 年 12 月"),
        (date(1900, 1, 1), "民國前 12/01/01", "民國前 12/01/01（一）", "民國前 12 年 1 月"),
    ],
)
def test_dates_are_shown_in_the_roc_calendar(day, shown, with_weekday, month):
    assert (format_roc(day), format_roc_weekday(day), format_roc_month(day)) == (shown, with_weekday, month)


@pytest.mark.parametrize(
    "text",
    ["114/2", "114/02", "11402", "114-2", "2025-02", "2025/2", "202502", "114 年 2 月", "民國114年2月", "１１４／２"],
)
def test_a_month_is_read_as_its_first_day(text):
    assert parse_month(text) == date(2025, 2, 1)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "請填月份，寫成 114/2、11402 或 2025-02。"),
        ("114/2/15", "看不懂這個月份，請寫成 114/2、11402 或 2025-02。"),
        ("2025", "看不懂這個月份，請寫成 114/2、11402 或 2025-02。"),
        ("114/13", "114/13 不存在：月份是 1 到 12。"),
        ("11400", "114/0 不存在：月份是 1 到 12。"),
        ("00001", "沒有民國 0 年：民國 1 年的前一年是民國前 1 年。"),
    ],
)
def test_a_month_that_does_not_exist_is_refused(text, sentence):
    with pytest.raises(DateError, match=f"^{re.escape(sentence)}$"):
        parse_month(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("09:20", time(9, 20)),
        ("9:20", time(9, 20)),
        ("0920", time(9, 20)),
        ("０９：２０", time(9, 20)),
        ("00:00", time(0, 0)),
        ("23:59:59", time(23, 59, 59)),
        ("235959", time(23, 59, 59)),
        ("23:59:59.9", time(23, 59, 59, 900_000)),
        ("23:59:59,123456789", time(23, 59, 59, 123_456)),
    ],
)
def test_a_time_of_day_is_read(text, expected):
    assert parse_time(text) == expected


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "請填時間，寫成 09:20 或 0920。"),
        ("920", "看不懂這個時間，請寫成 09:20 或 0920。"),
        ("上午 9 點", "看不懂這個時間，請寫成 09:20 或 0920。"),
        ("24:00", "24:00 不存在：時是 0 到 23，分與秒是 0 到 59。"),
        ("09:60", "09:60 不存在：時是 0 到 23，分與秒是 0 到 59。"),
        ("09:20:60", "09:20:60 不存在：時是 0 到 23，分與秒是 0 到 59。"),
    ],
)
def test_a_time_that_does_not_exist_is_refused(text, sentence):
    with pytest.raises(DateError, match=f"^{re.escape(sentence)}$"):
        parse_time(text)


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("114/3/20 23:59:59", "2025-03-20T23:59:59+08:00"),
        ("1140320 2359", "2025-03-20T23:59:00+08:00"),
        ("民國 114 年 3 月 20 日 9:20", "2025-03-20T09:20:00+08:00"),
        ("民國 114 年 3 月 20 日", "2025-03-20T00:00:00+08:00"),
        ("114/3/20", "2025-03-20T00:00:00+08:00"),
        ("2025-03-20", "2025-03-20T00:00:00+08:00"),
        ("2025-03-20T23:59:59", "2025-03-20T23:59:59+08:00"),
        ("2025-03-20T23:59:59.9", "2025-03-20T23:59:59.900000+08:00"),
        ("2025-03-20 23:59:59+08:00", "2025-03-20T23:59:59+08:00"),
        ("2025-03-20T15:59:59Z", "2025-03-20T23:59:59+08:00"),
        ("2025-03-20T15:59:59+0000", "2025-03-20T23:59:59+08:00"),
        ("2025-03-20T11:00:00-05:00", "2025-03-21T00:00:00+08:00"),
        ("20250320T235959", "2025-03-20T23:59:59+08:00"),
        ("114/03/20 24:00", "2025-03-21T00:00:00+08:00"),
        ("114/12/31 24:00:00", "2026-01-01T00:00:00+08:00"),
    ],
)
def test_a_moment_is_read_in_taipei_time(text, iso):
    found = parse_moment(text)
    assert found.isoformat() == iso
    assert found.tzinfo is TAIPEI


@given(st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1)), st.integers(-23 * 60, 23 * 60))
def test_a_moment_with_an_offset_is_the_same_instant(naive, minutes):
    offset = timedelta(minutes=minutes)
    sign, rest = ("-", -minutes) if minutes < 0 else ("+", minutes)
    text = f"{naive.isoformat()}{sign}{rest // 60:02d}:{rest % 60:02d}"
    assert parse_moment(text) == (naive - offset).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "請填時間，寫成 114/3/20 23:59 或 2025-03-20T23:59:59+08:00。"),
        ("9" * 99, "看不懂這個時間，請寫成 114/3/20 23:59 或 2025-03-20T23:59:59+08:00。"),
        ("114/2/30 10:00", "114/2/30 不存在：114 年 2 月只有 28 日。"),
        ("114/2/15 24:01", "24:01 不存在：時是 0 到 23，分與秒是 0 到 59。"),
        ("114/2/15 10:00+24:00", "時差 +24:00 不存在：時是 0 到 23，分是 0 到 59。"),
        ("114/2/15 10:00+08:60", "時差 +08:60 不存在：時是 0 到 23，分是 0 到 59。"),
        ("明天", "看不懂這個日期，請寫成 114/2/15、1140215 或 2025-02-15。"),
    ],
)
def test_a_moment_that_does_not_exist_is_refused(text, sentence):
    with pytest.raises(DateError, match=f"^{re.escape(sentence)}$"):
        parse_moment(text)
