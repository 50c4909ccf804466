"""A rule file with a fault is refused when it is read, with its name, the line and what is wrong."""

from datetime import date

import pytest

from quitledger.policy import PolicyFileError, load

GOOD = """\
subject: 登錄
subject_en: Recording
parameters:
  - name: spacing_days
    title: 間隔
    title_en: Spacing
    unit: 日
    day: visit_day
    when_broken: {effect: refused, explanation: 不能登錄。}
    words: {any_day: 任何一日, least: 最少}
    values:
      - from: 2002-09-01
        value: 5
        source: 通知
      - from: 2012-03-01
        value: 6
        assumed: true
"""

# (what is replaced, what stands there instead, line of the fault, words of the message)
FAULTS = {
    "unknown key of the file": ("subject_en: Recording", "subject_en: Recording\nauthor: x", 3, "author: unknown key"),
    "missing key of the file": ("subject: 登錄\n", "", 1, "subject: missing"),
    "unknown key of a parameter": ("    unit: 日", "    unit: 日\n    colour: red", 8, "colour: unknown key"),
    "missing key of a parameter": ("    unit: 日\n", "", 4, "unit: missing"),
    "unknown key of a value": ("value: 5", "value: 5\n        until: 2003-01-01", 14, "until: unknown key"),
    "missing value": ("        value: 5\n", "", 12, "value: missing"),
    "unknown key of when_broken": ("effect: refused,", "effect: refused, then: x,", 9, "then: unknown key"),
    "key given twice": ("value: 5", "value: 5\n        value: 6", 14, "value: given twice"),
    "key that YAML reads as yes/no": ("{any_day: 任何一日", "{yes: 是", 10, "True: a key is text; quote it"),
    "name with capitals": ("name: spacing_days", "name: Spacing", 4, "name: Spacing is not lower case"),
    "day outside the vocabulary": ("day: visit_day", "day: any_day", 8, "day: any_day is not one of service_month,"),
    "effect outside the vocabulary": ("effect: refused", "effect: fined", 9, "effect: fined is not one of refused,"),
    "same day twice": ("from: 2012-03-01", "from: 2002-09-01", 15, "2002-09-01 does not come after 2002-09-01"),
    "days not ascending": ("from: 2012-03-01", "from: 2001-03-01", 15, "2001-03-01 does not come after 2002-09-01"),
    "first day is text": ("from: 2002-09-01", "from: 114/2/15", 12, "from: not a day"),
    "first day is a moment": ("from: 2002-09-01", "from: 2002-09-01 10:00:00", 12, "from: not a day"),
    "first day does not exist": ("from: 2002-09-01", "from: 2002-02-30", 12, "from: day is out of range"),
    "first day is a list": ("from: 2002-09-01", "from: [1]", 12, "from: a single value expected"),
    "neither source nor assumed": ("        source: 通知\n", "", 12, "source: a value has either"),
    "source and assumed": ("source: 通知", "source: 通知\n        assumed: true", 12, "source: a value has either"),
    "assumed: false": ("assumed: true", "assumed: false", 17, "assumed: is true or left out"),
    "empty source": ("source: 通知", "source: ' '", 14, "source: text expected"),
    "source is a number": ("source: 通知", "source: 114", 14, "source: text expected"),
    "unknown without a note": ("value: 5\n        source: 通知", "value: null", 12, "note: missing"),
    "unknown and assumed": (
        "value: 5\n        source: 通知",
        "value: null\n        note: 不明\n        assumed: true",
        12,
        "assumed: an unknown value cannot be assumed",
    ),
    "fraction": ("value: 5", "value: 5.5", 13, "value: 5.5 is not a whole number"),
    "below zero": ("value: 5", "value: -5", 13, "value: -5 is below zero"),
    "word without label": ("value: 5", "value: sometimes", 13, "value: sometimes has no Chinese label"),
    "key of a value without label": ("value: 5", "value: {most: 5}", 13, "value: most has no Chinese label"),
    "empty list as value": ("value: 5", "value: []", 13, "value: a list with at least one entry"),
    "kinds mixed": ("value: 6", "value: any_day", 15, "value: not of the same kind"),
    "number after yes/no": ("value: 5", "value: true", 15, "value: not of the same kind"),
    "unknown tag": ("value: 5", "value: !secret 5", 13, "value: could not determine a constructor"),
    "parameters not a list": ("parameters:\n", "parameters: none\nmore:\n", 4, "more: unknown key"),
    "when_broken not a mapping": (
        "{effect: refused, explanation: 不能登錄。}",
        "refused",
        9,
        "keys with values expected",
    ),
    "not YAML": ("unit: 日", "unit: 日: 月", 7, "not YAML: mapping values are not allowed"),
}


def read(folder, text):
    (folder / "1_rules.yaml").write_text(text, encoding="utf-8")
    return load(folder)


def test_the_example_without_a_fault_is_read(tmp_path):
    entry = read(tmp_path, GOOD)["spacing_days"]
    assert [(dated.starts_on, dated.value, dated.source, dated.assumed) for dated in entry.values] == [
        (date(2002, 9, 1), 5, "通知", False),
        (date(2012, 3, 1), 6, None, True),
    ]
    assert (entry.day.label, entry.when_broken.effect.label) == ("就醫日", "拒絕登錄")
    assert not entry.day_assumed


def test_an_unknown_value_may_stand_between_two_known_ones(tmp_path):
    values = "      - {from: 2005-01-01, value: null, note: 不明}\n      - from: 2012-03-01"
    entry = read(tmp_path, GOOD.replace("      - from: 2012-03-01", values))["spacing_days"]
    assert [dated.value for dated in entry.values] == [5, None, 6]


def test_lists_and_mappings_of_labelled_words_are_values(tmp_path):
    entry = read(tmp_path, GOOD.replace("value: 5", "value: {least: [any_day, 3]}").replace("value: 6", "value: {}"))
    assert entry["spacing_days"].values[0].value == {"least": ("any_day", 3)}
    assert entry["spacing_days"].text_of(entry["spacing_days"].values[0].value) == "最少：任何一日、3"


@pytest.mark.parametrize("case", FAULTS)
def test_a_fault_is_refused_with_file_line_and_reason(tmp_path, case):
    there, instead, line, words = FAULTS[case]
    assert there in GOOD
    with pytest.raises(PolicyFileError) as refused:
        read(tmp_path, GOOD.replace(there, instead, 1))
    assert (refused.value.file, refused.value.line) == ("1_rules.yaml", line)
    assert words in refused.value.fault
    assert str(refused.value).startswith(f"1_rules.yaml, line {line}: ")


def test_a_file_without_content_is_refused(tmp_path):
    with pytest.raises(PolicyFileError, match=r"1_rules\.yaml, line 1: the file is empty"):
        read(tmp_path, "# nothing yet\n")


def test_a_file_that_is_not_utf_8_is_refused(tmp_path):
    (tmp_path / "1_rules.yaml").write_bytes("subject: 登錄".encode("big5"))
    with pytest.raises(PolicyFileError, match=r"1_rules\.yaml, line 1: not YAML"):
        load(tmp_path)


def test_a_list_without_entries_is_refused(tmp_path):
    with pytest.raises(PolicyFileError, match="parameters: a list with at least one entry expected"):
        read(tmp_path, "subject: 登錄\nsubject_en: Recording\nparameters: []\n")


def test_a_folder_without_rule_files_is_refused(tmp_path):
    with pytest.raises(PolicyFileError, match="no rule file here"):
        load(tmp_path)


def test_one_name_in_two_files_is_refused_and_the_second_file_is_named(tmp_path):
    (tmp_path / "2_again.yaml").write_text(GOOD, encoding="utf-8")
    with pytest.raises(PolicyFileError, match=r"2_again\.yaml, line 4: name: spacing_days is defined twice"):
        read(tmp_path, GOOD)
