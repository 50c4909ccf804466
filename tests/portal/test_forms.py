"""The fields and how a page shows them; nothing here needs a database."""

from datetime import date, time

import pytest
from django import forms
from django.template import Context, Template
from hypothesis import given
from hypothesis import strategies as st

from quitledger.policy.problem import Problem
from quitledger.portal.forms import (
    ClockField,
    Form,
    PlainTextField,
    RocDateField,
    RocMonthField,
    WholeNumberField,
    add_problems,
    shown,
)


class VisitForm(Form):
    visit_on = RocDateField(label="就醫日期", help_text="例：114/4/1 或 1140401")
    visit_time = ClockField(label="就醫時間", required=False)
    services = forms.MultipleChoiceField(
        label="本次服務", choices=[("m", "用藥"), ("c", "衛教")], widget=forms.CheckboxSelectMultiple
    )
    weeks = shown(WholeNumberField(label="週數", min_value=1, max_value=4), unit="週", width="s")
    staff = shown(forms.ChoiceField(label="人員", choices=[("1", "醫師 示範丑")]), grow=True)
    pregnant = forms.BooleanField(label="懷孕中", required=False)
    note = PlainTextField(label="備註", required=False, max_length=10)


class LineForm(Form):
    medicine = PlainTextField(label="藥品")


def messages_of(field: forms.Field, text: object) -> list[str]:
    try:
        field.clean(text)
    except forms.ValidationError as refused:
        return list(refused.messages)
    return []


@pytest.mark.parametrize("text", ["114/4/1", "1140401", "2025-04-01", "民國114年4月1日", " １１４／４／１ "])
def test_a_day_is_read_in_every_form_that_policy_reads(text: str) -> None:
    assert RocDateField().clean(text) == date(2025, 4, 1)


def test_a_day_is_shown_in_roc_form_and_what_was_typed_stays_as_it_was() -> None:
    form = VisitForm(initial={"visit_on": date(2025, 4, 1), "visit_time": time(9, 20)})
    assert 'value="114/04/01"' in str(form["visit_on"])
    assert 'value="09:20"' in str(form["visit_time"])
    assert 'value="114/2/30"' in str(VisitForm({"visit_on": "114/2/30"})["visit_on"])


def test_a_day_that_does_not_exist_is_refused_in_the_words_of_the_calendar() -> None:
    assert messages_of(RocDateField(), "114/2/30") == ["114/2/30 不存在：114 年 2 月只有 28 日。"]


def test_a_month_is_its_first_day() -> None:
    assert RocMonthField().clean("114/4") == date(2025, 4, 1)
    assert RocMonthField().prepare_value(date(2025, 4, 1)) == "114/04"


def test_a_time_of_day_may_be_typed_without_a_colon() -> None:
    assert ClockField().clean("0920") == time(9, 20)
    assert messages_of(ClockField(), "2500") == ["2500 不存在：時是 0 到 23，分與秒是 0 到 59。"]


def test_fields_that_may_stay_empty_are_none() -> None:
    for field in (RocDateField, RocMonthField, ClockField, WholeNumberField):
        assert field(required=False).clean(" 　") is None


def test_full_width_digits_are_a_whole_number() -> None:
    assert WholeNumberField().clean(" ２０ ") == 20
    assert WholeNumberField().clean("0") == 0


@pytest.mark.parametrize("text", ["1.5", "-1", "+1", "一", "1,000", "1 0", "²", "\x00", "4 週"])
def test_what_is_no_whole_number_is_refused_in_one_sentence(text: str) -> None:
    assert messages_of(WholeNumberField(), text) == ["請只填數字，不含小數、正負號或單位。"]


def test_a_number_outside_its_bounds_is_told_the_bounds() -> None:
    assert messages_of(WholeNumberField(min_value=1, max_value=4), "5") == ["請填 1 到 4 之間的整數。"]
    assert messages_of(WholeNumberField(min_value=1), "0") == ["請填 1 以上的整數。"]
    assert messages_of(WholeNumberField(), "9" * 5000) == ["這個數字太大，請確認。"]


def test_text_is_trimmed_and_keeps_rare_characters() -> None:
    assert PlainTextField().clean("　𠮷野家 =1+1 ") == "𠮷野家 =1+1"


@pytest.mark.parametrize("text", ["a\x00b", "a\x07b", "a\x7fb", "a\nb", "a\ud800b"])
def test_control_characters_are_refused_in_one_sentence(text: str) -> None:
    assert messages_of(PlainTextField(), text) == ["文字裡有看不見的控制字元，請刪除後重新輸入。"]


def test_several_lines_are_kept_where_they_are_asked_for() -> None:
    assert PlainTextField(lines=True).clean("一\r\n二\r三") == "一\n二\n三"


@given(st.text() | st.none())
def test_no_text_makes_a_field_fail_otherwise_than_in_chinese(text: str | None) -> None:
    for field in (RocDateField(), RocMonthField(), ClockField(), WholeNumberField(), PlainTextField(max_length=10)):
        for message in messages_of(field, text):
            assert any("一" <= sign <= "鿿" for sign in message)


def test_a_missing_answer_is_asked_for_by_its_name() -> None:
    form = VisitForm({})
    assert form.errors["visit_on"] == ["請填就醫日期。"]
    assert form.errors["services"] == ["請選擇本次服務。"]
    assert VisitForm({"staff": "9"}).errors["staff"] == ["清單裡沒有這個選項，請從清單中選擇。"]


def test_a_field_group_ties_label_hint_and_error_to_the_control() -> None:
    html = VisitForm({"visit_on": "114/2/30"})["visit_on"].as_field_group()
    assert '<label for="id_visit_on">就醫日期</label>' in html
    assert '<span class="hint" id="id_visit_on_helptext">例：114/4/1 或 1140401</span>' in html
    assert 'aria-describedby="id_visit_on_helptext id_visit_on_error"' in html
    assert 'aria-invalid="true"' in html
    assert '<div id="id_visit_on_error"><p class="err">114/2/30 不存在' in html
    assert "field--bad" in html
    assert "placeholder" not in html


def test_a_field_group_says_what_may_stay_empty_and_shows_unit_and_width() -> None:
    form = VisitForm()
    assert "就醫時間（可不填）" in form["visit_time"].as_field_group()
    assert "（可不填）" not in form["visit_on"].as_field_group()
    assert "（可不填）" not in form["pregnant"].as_field_group()
    weeks = form["weeks"].as_field_group()
    assert 'class="w-s"' in weeks
    assert '<div class="unit">' in weeks
    assert "週\n" in weeks or "週</div>" in weeks
    assert "field--grow" in form["staff"].as_field_group()


def test_a_group_of_choices_is_a_fieldset_with_a_legend() -> None:
    html = VisitForm({})["services"].as_field_group()
    assert "<fieldset" in html
    assert "<legend>本次服務</legend>" in html
    assert 'aria-describedby="id_services_error"' in html
    assert '<label class="opt" for="id_services_0"><input type="checkbox"' in html


def test_rule_problems_stand_at_their_fields_and_the_rest_above_the_form() -> None:
    form, line = VisitForm({"visit_on": "114/4/1"}), LineForm({"lines-0-medicine": "甲"}, prefix="lines-0")
    problems = [
        Problem("window-closed", "期限已過。請補登。", "visit_on"),
        Problem("medicine-unknown", "找不到這項藥品。", "lines-0-medicine"),
        Problem("elsewhere", "別處的問題。", "lines-9-medicine"),
        Problem("whole", "整筆的問題。"),
    ]
    add_problems(form, problems, line)
    assert form.errors["visit_on"] == ["期限已過。請補登。"]
    assert line.errors["medicine"] == ["找不到這項藥品。"]
    assert form.non_field_errors() == ["別處的問題。", "整筆的問題。"]
    assert form.errors.as_data()["visit_on"][0].code == "window-closed"


def test_the_summary_counts_all_forms_and_links_to_their_fields() -> None:
    form, line = VisitForm({"visit_on": "114/4/1", "weeks": "9", "staff": "1"}), LineForm({}, prefix="lines-0")
    add_problems(form, [Problem("whole", "整筆的問題。看規定。")])
    html = Template('{% error_summary form line verb="登錄" %}').render(Context({"form": form, "line": line}))
    assert "還沒登錄：有 4 項需要修正" in html
    assert '<a href="#id_services_0">本次服務：請選擇本次服務</a>' in html
    assert '<a href="#id_weeks">週數：請填 1 到 4 之間的整數</a>' in html
    assert '<a href="#id_lines-0-medicine">藥品：請填藥品</a>' in html
    assert "<li>整筆的問題。看規定。</li>" in html


def test_the_summary_shows_nothing_while_nothing_is_wrong() -> None:
    rendered = Template("{% error_summary form line missing %}").render(Context({"form": VisitForm(), "line": None}))
    assert rendered.strip() == ""


def test_what_was_typed_is_escaped_in_summary_and_field() -> None:
    form = VisitForm({"visit_on": "<b>", "note": "<script>" * 3})
    html = Template("{% error_summary form %}{{ form.note.as_field_group }}").render(Context({"form": form}))
    assert "<script>" not in html
    assert "請確認" in html  # Django's own message, in Chinese
