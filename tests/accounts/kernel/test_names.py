"""Names: allowed characters, and when two names are the same."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.kernel.names import (
    MAX_NAME_LENGTH,
    check_name,
    is_name,
    is_new_name,
    name_key,
)


@pytest.mark.parametrize(
    "name", ["ila", "7", "Ila.P_+-9", "рома", "日本語", "Zoë", "हिन्दी", "a" * 64]
)
def test_name_of_letters_marks_digits_and_signs_is_kept(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a" * 65,
        "ﬃ" * 22,  # folds into 66 letters
        "a b",
        "ila@example.com",
        "a/b",
        "a\x00b",
        "a\nb",
        "a\u200db",  # draws nothing
        "a\u3164",
        "a\ufe0f",
        "😀",
        "½",
        "ﷺ",  # one letter that folds into words with spaces
        "_.+-",
        "\u0301",
    ],
)
def test_invalid_name_is_rejected(name: str) -> None:
    with pytest.raises(ValueError, match=r"must have|may hold|needs"):
        check_name(name)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ILA", "ila"),
        ("ﬁlm", "FILM"),
        ("Straße", "STRASSE"),
        ("e\u0301", "É"),
        ("Ａ", "a"),
        ("ΐ", "Ϊ\u0301"),
    ],
)
def test_lookalike_names_share_a_key(one: str, other: str) -> None:
    assert name_key(one) == name_key(other)


def test_different_names_have_different_keys() -> None:
    assert len({name_key(name) for name in ("ila", "ilа", "ila.", "il")}) == 4


def test_decomposed_name_is_stored_composed() -> None:
    assert check_name("Zoe\u0308") == "Zoë"


@given(st.text(max_size=70))
def test_key_does_not_depend_on_unicode_composition(text: str) -> None:
    assert name_key(unicodedata.normalize("NFD", text)) == name_key(text)


@pytest.mark.parametrize(
    "name",
    [
        "раypal",  # two Cyrillic letters before Latin ones
        "pаypal",
        "ilа",
        "Αlpha",
        "日本हिन्दी",
        "кириллицаabc",
        "한国ひ",
        "раℓ",  # folds into a Latin l
        "user١2",
        "१١",
        "a" + "\u0301\u0302\u0303\u0304\u0305",
        "a\u0332\u0332",
    ],
)
def test_new_lookalike_name_is_rejected_and_existing_one_is_found(name: str) -> None:
    with pytest.raises(ValueError, match=r"must keep to|must not pile up"):
        check_name(name)
    assert is_name(name)
    assert not is_new_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "日本語のカナ",
        "ABC日本語かな",
        "サーバー2",
        "中文ㄅㄆㄇ",
        "LG한국漢字",
        "علی۱۲",
        "user2",
        "рома-7",
        "Việt.Nam",
        "שָׁלוֹם",
        "ภาษาไทยที่",
        "ἀρχή",
    ],
)
def test_listed_script_combinations_are_accepted(name: str) -> None:
    assert check_name(name) == unicodedata.normalize("NFC", name)


# Most texts of any characters mix scripts, which no name may.
ALPHABETS = (
    *("aZ09._-éß", "абЯё7-", "日本語のカナーAz", "علی۱۲_", "한국漢字9", "שָׁלוֹם", "ἀρχή", "ภาษาไทยที่"),
)
likely_names = st.sampled_from(ALPHABETS).flatmap(lambda one: st.text(one, max_size=70))


@given(st.one_of(likely_names, likely_names, st.text(max_size=70)).filter(is_new_name))
def test_stored_name_stays_valid_with_the_same_key(name: str) -> None:
    stored = check_name(name)
    assert check_name(stored) == stored
    assert name_key(stored) == name_key(name)
    assert len(name_key(stored)) <= MAX_NAME_LENGTH
