"""Names: what may stand in one, and when two of them are the same."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.kernel.names import (
    MAX_NAME_LENGTH,
    check_name,
    is_name,
    is_new_name,
    name_from_email,
    name_key,
)


@pytest.mark.parametrize(
    "name", ["ila", "7", "Ila.P_+-9", "рома", "日本語", "Zoë", "हिन्दी", "a" * 64]
)
def test_a_name_of_letters_marks_digits_and_signs_is_kept_as_it_is(name: str) -> None:
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
def test_an_impossible_name_is_refused(name: str) -> None:
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
def test_names_that_look_alike_have_one_key(one: str, other: str) -> None:
    assert name_key(one) == name_key(other)


def test_names_that_differ_have_different_keys() -> None:
    assert len({name_key(name) for name in ("ila", "ilа", "ila.", "il")}) == 4


def test_a_decomposed_name_is_stored_composed() -> None:
    assert check_name("Zoe\u0308") == "Zoë"


@given(st.text(max_size=70))
def test_any_text_has_one_key_however_it_is_composed(text: str) -> None:
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
def test_a_new_name_that_looks_like_another_is_refused_and_an_old_one_is_found(name: str) -> None:
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
def test_scripts_that_belong_together_make_a_name(name: str) -> None:
    assert check_name(name) == unicodedata.normalize("NFC", name)


@given(st.text(max_size=70).filter(is_new_name))
def test_a_stored_name_stays_a_name_of_the_same_key(name: str) -> None:
    stored = check_name(name)
    assert check_name(stored) == stored
    assert name_key(stored) == name_key(name)
    assert len(name_key(stored)) <= MAX_NAME_LENGTH


@pytest.mark.parametrize(
    ("email", "name"),
    [
        ("ila@example.com", "ila"),
        ("Ila.P+news@example.com", "Ila.P+news"),
        ("o'neil@example.com", "oneil"),
        ("!!!@example.com", "user"),
        ("...@example.com", "user"),
        ("a" * 80 + "@example.com", "a" * 64),
        ("рaypal@example.com", "aypal"),
        ("рома٣я2@example.com", "2"),
        ("ромаλ@example.com", "user"),
    ],
)
def test_a_username_is_made_of_the_local_part(email: str, name: str) -> None:
    assert name_from_email(email) == name


@given(st.text(max_size=100))
def test_whatever_the_local_part_is_a_name_comes_of_it(text: str) -> None:
    assert is_new_name(name_from_email(text))
