"""Identity numbers: forms, check digits, masks and made-up people (domain.md §7)."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quitledger.policy.identity import (
    COUNTRIES,
    IdentityKind,
    check_identity,
    checksum_ok,
    make_up,
    mask,
    normalise,
    recognise,
    sex_of,
)

NATIONAL, RESIDENT, OLD, PASSPORT = IdentityKind

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
# As printed in domain.md §7, spelled out: the second source of the letter values.
LETTER_VALUES = dict(
    zip(
        LETTERS,
        [10, 11, 12, 13, 14, 15, 16, 17, 34, 18, 19, 20, 21, 22, 35, 23, 24, 25, 26, 27, 28, 29, 32, 30, 31, 33],
        strict=True,
    )
)


def check_digit(letter: str, second: int, seven: str) -> int:
    """The last digit of a card, computed term by term from the formula of domain.md §7."""
    value = LETTER_VALUES[letter]
    total = value // 10 + value % 10 * 9 + second * 8
    for weight, digit in zip((7, 6, 5, 4, 3, 2, 1), seven, strict=True):
        total += weight * int(digit)
    return (10 - total % 10) % 10


sevens = st.text("0123456789", min_size=7, max_size=7)
cards = st.builds(
    lambda letter, second, seven: f"{letter}{second}{seven}{check_digit(letter, second, seven)}",
    st.sampled_from(LETTERS),
    st.sampled_from([1, 2, 8, 9]),
    sevens,
)
old_cards = st.builds(
    lambda letter, second, seven: f"{letter}{second}{seven}{check_digit(letter, LETTER_VALUES[second] % 10, seven)}",
    st.sampled_from(LETTERS),
    st.sampled_from("ABCD"),
    sevens,
)


def codes(kind, number, country=None, *, made_up_allowed=False):
    return [problem.code for problem in check_identity(kind, number, country, made_up_allowed=made_up_allowed)]


# --- valid numbers ---


@pytest.mark.parametrize(
    ("number", "kind", "sex"),
    [
        ("A123456789", NATIONAL, "male"),
        ("A223456781", NATIONAL, "female"),
        ("A800000014", RESIDENT, "male"),
        ("A900000016", RESIDENT, "female"),
        ("AA00000009", OLD, "male"),
        ("AB00000001", OLD, "female"),
        ("AC00000003", OLD, "male"),
        ("AD00000005", OLD, "female"),
    ],
)
def test_a_valid_card_is_recognised_accepted_and_tells_the_sex(number, kind, sex):
    assert recognise(number) == kind
    assert checksum_ok(number)
    assert codes(kind, number) == []
    assert sex_of(kind, number) == sex


@given(st.one_of(cards, old_cards))
def test_every_card_made_by_the_formula_is_accepted_as_its_kind(number):
    assert codes(recognise(number), number) == []


@given(cards, st.data())
def test_a_mistyped_digit_whose_weight_is_odd_and_not_5_is_always_noticed(number, data):
    # Weights 8, 6, 4, 2 miss a change by five and weight 5 an even one; the other places catch everything.
    place = data.draw(st.sampled_from([2, 6, 8, 9]))
    other = data.draw(st.sampled_from([digit for digit in "0123456789" if digit != number[place]]))
    assert not checksum_ok(number[:place] + other + number[place + 1 :])


@given(cards, st.integers(2, 7))
def test_two_neighbouring_digits_swapped_are_noticed_and_no_number_is_offered(number, place):
    swapped = number[:place] + number[place + 1] + number[place] + number[place + 2 :]
    problems = check_identity(recognise(number), swapped, made_up_allowed=False)
    if swapped == number:
        assert problems == []
    else:
        (problem,) = problems
        assert problem.code == "identity-checksum"
        assert problem.field == "identity_number"
        assert not re.search(r"[A-Z]|[0-9]{2}", problem.message)


# --- form ---


@pytest.mark.parametrize(
    ("kind", "number", "expected"),
    [
        (NATIONAL, "", ["identity-missing"]),
        (NATIONAL, "　- ", ["identity-missing"]),
        (NATIONAL, "A", ["identity-length"]),
        (NATIONAL, "A12345678", ["identity-length"]),
        (NATIONAL, "A1234567890", ["identity-length"]),
        (NATIONAL, "1123456789", ["identity-letter"]),
        (NATIONAL, "甲123456789", ["identity-letter"]),
        (NATIONAL, "A323456789", ["identity-second"]),
        (NATIONAL, "AE23456789", ["identity-second"]),
        (NATIONAL, "A12345678O", ["identity-digits"]),
        (NATIONAL, "A1٣3456789", ["identity-digits"]),
        (NATIONAL, "53", ["identity-length", "identity-letter", "identity-second"]),
        (NATIONAL, "?x?x?x", ["identity-length", "identity-letter", "identity-second", "identity-digits"]),
        (NATIONAL, "A123456788", ["identity-checksum"]),
        (NATIONAL, "A800000014", ["identity-other-kind"]),
        (NATIONAL, "A800000015", ["identity-other-kind", "identity-checksum"]),
        (NATIONAL, "AB00000001", ["identity-other-kind"]),
        (RESIDENT, "A123456789", ["identity-other-kind"]),
        (RESIDENT, "A700000014", ["identity-second"]),
        (RESIDENT, "A800000013", ["identity-checksum"]),
        (OLD, "A800000014", ["identity-other-kind"]),
        (OLD, "AE00000005", ["identity-second"]),
        (OLD, "AB00000002", ["identity-checksum"]),
        (OLD, "AB000000", ["identity-length"]),
    ],
)
def test_a_wrong_card_gives_every_problem_of_its_form(kind, number, expected):
    assert codes(kind, number) == expected


def test_wrong_digits_are_named_by_their_places():
    def message(number):
        (problem,) = check_identity(NATIONAL, number, made_up_allowed=False)
        return problem.message

    assert "第 4、10 碼" in message("A12I45678O")
    assert "第 3、4、5 碼等" in message("A1XYZW6789")


def test_a_number_of_the_other_kind_is_named_with_the_kind_to_choose():
    (problem,) = check_identity(NATIONAL, "A800000014", made_up_allowed=False)
    assert "居留證（新式）" in problem.message
    assert "國民身分證" in problem.message


@given(st.sampled_from(IdentityKind), st.text(max_size=40), st.none() | st.text(max_size=5), st.booleans())
def test_any_text_gets_an_answer_whose_messages_do_not_repeat_it(kind, number, country, made_up_allowed):
    for problem in check_identity(kind, number, country, made_up_allowed=made_up_allowed):
        assert problem.field in ("identity_number", "identity_country")
        assert problem.message.endswith("。")
        assert len(problem.message) < 100
        assert len(number) < 6 or number not in problem.message


def test_a_very_long_text_gets_short_messages():
    problems = check_identity(NATIONAL, "9x" * 100_000, made_up_allowed=False)
    assert {problem.code for problem in problems} >= {"identity-length", "identity-digits"}
    assert all(len(problem.message) < 100 for problem in problems)


def test_the_kind_may_be_given_as_its_stored_word():
    assert codes("national_id", "A123456789") == []
    assert codes("national_id", "A800000014") == ["identity-other-kind"]
    assert sex_of("national_id", "A123456789") == "male"
    with pytest.raises(ValueError, match="library_card"):
        check_identity("library_card", "A123456789", made_up_allowed=False)


def test_every_kind_has_a_chinese_label():
    assert [kind.label for kind in IdentityKind] == ["國民身分證", "居留證（新式）", "居留證（舊式）", "護照"]


# --- normal form ---


@pytest.mark.parametrize(
    "written",
    [
        "Ａ１２３４５６７８９",
        "a123456789",
        "ａ123 456 789",
        " A1-2345-6789\n",
        "A1234\u200b56789",
        "A１２３４５−６７８９",
    ],
)
def test_what_people_type_comes_into_one_form(written):
    assert normalise(written) == "A123456789"
    assert recognise(written) == NATIONAL
    assert checksum_ok(written)
    assert mask(written) == "A12****789"


@given(st.text())
def test_normalising_twice_changes_nothing(text):
    assert normalise(normalise(text)) == normalise(text)


@given(st.text())
def test_the_normal_form_has_no_full_width_or_small_letter_and_no_space(text):
    assert not re.search(r"[a-z\uff01-\uff5e\s-]", normalise(text))


# --- passports ---


@pytest.mark.parametrize(
    ("number", "country", "expected"),
    [
        ("TK1234567", "JPN", []),
        ("ｔｋ1234567", "jpn", []),
        ("12345", "VNM", []),
        ("1234", "VNM", ["identity-length"]),
        ("A" * 20, "VNM", []),
        ("A" * 21, "VNM", ["identity-length"]),
        ("AB/12345", "VNM", ["identity-characters"]),
        ("護照", "VNM", ["identity-length", "identity-characters"]),
        ("TK1234567", None, ["identity-country-missing"]),
        ("TK1234567", "", ["identity-country-missing"]),
        ("TK1234567", "ZZZ", ["identity-country-unknown"]),
        ("TK1234567", "JP", ["identity-country-unknown"]),
        ("12", "ZZZ", ["identity-length", "identity-country-unknown"]),
        ("", "", ["identity-missing", "identity-country-missing"]),
        ("A123456780", "TWN", []),
    ],
)
def test_a_passport_needs_5_to_20_letters_or_digits_and_a_known_country(number, country, expected):
    assert codes(PASSPORT, number, country) == expected


@pytest.mark.parametrize("kind", [NATIONAL, RESIDENT, OLD])
def test_a_country_beside_a_card_is_refused(kind):
    problems = check_identity(kind, "A123456789", "TWN", made_up_allowed=False)
    assert (problems[-1].code, problems[-1].field) == ("identity-country-not-expected", "identity_country")


def test_a_passport_tells_no_sex_and_a_card_only_under_its_own_kind():
    assert sex_of(PASSPORT, "A123456789") is None
    assert sex_of(RESIDENT, "A123456789") is None
    assert sex_of(NATIONAL, "TK1234567") is None


def test_the_countries_are_those_of_iso_3166_and_five_of_icao_9303():
    assert len(COUNTRIES) == 249 + 5
    assert all(re.fullmatch("[A-Z]{3}", code) for code in COUNTRIES)
    assert len(set(COUNTRIES.values())) == len(COUNTRIES)
    assert COUNTRIES["TWN"] == "臺灣"
    assert COUNTRIES["NOR"] == "挪威"  # "NO" alone would be a truth value in YAML
    assert COUNTRIES["XXA"] == "無國籍"
    with pytest.raises(TypeError):
        COUNTRIES["ZZZ"] = "無此國"


# --- masks ---


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("A123456789", "A12****789"),
        ("A123456788", "A12****788"),
        ("AB00000001", "AB0****001"),
        ("", ""),
        ("7", "*"),
        ("12345", "1***5"),
        ("AB12345", "AB****5"),
        ("TK1234567", "TK*****67"),
        ("1234567890", "123*****90"),
        ("ABCDEFGHIJ1234567890", "ABC**************890"),
    ],
)
def test_a_mask_shows_the_ends(number, shown):
    assert mask(number) == shown


@given(st.text("ABC123", min_size=1, max_size=25).filter(lambda text: len(text) != 10))
def test_a_mask_of_anything_but_a_card_shows_at_most_half_and_keeps_the_length(number):
    masked = mask(number)
    assert len(masked) == len(number)
    assert masked.count("*") * 2 >= len(number)


# --- made-up people ---


@given(st.integers(0, 9_999_999), st.sampled_from(LETTERS))
def test_a_made_up_number_is_valid_only_where_made_up_people_are_allowed(serial, letter):
    number = make_up(serial, letter)
    assert number[0] + number[1] == letter + "0"
    assert checksum_ok(number)
    assert recognise(number) == NATIONAL
    assert sex_of(NATIONAL, number) is None
    assert codes(NATIONAL, number, made_up_allowed=True) == []
    assert codes(NATIONAL, number) == ["identity-made-up"]
    assert codes(RESIDENT, number) == ["identity-made-up"]
    assert codes(RESIDENT, number, made_up_allowed=True) == ["identity-other-kind"]


@given(st.integers(0, 9_999_999), st.integers(0, 9_999_999), st.sampled_from(LETTERS), st.sampled_from(LETTERS))
def test_made_up_numbers_are_equal_only_for_the_same_serial_and_letter(one, other, letter, other_letter):
    assert (make_up(one, letter) == make_up(other, other_letter)) == ((one, letter) == (other, other_letter))


def test_made_up_numbers_do_not_change_from_release_to_release():
    assert [make_up(0), make_up(1), make_up(9_999_999), make_up(1, "Z")] == [
        "A000000009",
        "A000000018",
        "A099999997",
        "Z000000019",
    ]


def test_a_made_up_number_with_a_wrong_check_digit_is_refused_everywhere():
    wrong = make_up(7)[:9] + str((int(make_up(7)[9]) + 1) % 10)
    assert codes(NATIONAL, wrong, made_up_allowed=True) == ["identity-checksum"]
    assert codes(NATIONAL, wrong) == ["identity-made-up", "identity-checksum"]


@pytest.mark.parametrize(("serial", "letter"), [(-1, "A"), (10_000_000, "A"), (1, "a"), (1, ""), (1, "AB"), (1, "1")])
def test_made_up_numbers_beyond_the_serials_or_letters_are_refused(serial, letter):
    with pytest.raises(ValueError, match="must be"):
        make_up(serial, letter)
