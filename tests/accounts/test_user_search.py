"""Users are searched by prefix of username or display name."""

import pytest

from accounts.kernel.pagination import Page, keyset_page
from accounts.models import User
from accounts.selectors import search_users
from tests.factories import make_user

pytestmark = pytest.mark.django_db


def page_of(text: str, cursor: str | None = None, limit: int = 50) -> Page[User]:
    return keyset_page(
        User.objects.all(), ["username_key"], cursor=cursor, limit=limit, walks=search_users(text)
    )


def found(text: str) -> list[str]:
    return [user.username for user in page_of(text)]


def test_users_are_found_by_either_name_in_any_spelling() -> None:
    make_user("Kaushal", display_name="Ila's brother")
    make_user("ila", display_name="Ila P.")
    make_user("other", display_name="ﬁlm fan")
    make_user("left", display_name="Ila too", is_active=False)
    assert found("ILA") == ["ila", "Kaushal"]
    assert found("Ｉla p") == ["ila"]
    assert found("FILM") == ["other"]
    assert found("la") == []
    assert found("") == ["ila", "Kaushal", "other"]


@pytest.mark.parametrize("sign", ["%", "_", "*", "[a-z]", "\\", "?"])
def test_pattern_characters_are_matched_literally(sign: str) -> None:
    make_user("plain", display_name="Plain")
    make_user("signed", display_name=f"{sign}name")
    assert found(sign) == ["signed"]


def test_user_without_display_name_is_not_found_by_one() -> None:
    make_user("ila")
    assert found("x") == []


def test_long_display_name_is_found_by_its_prefix() -> None:
    make_user("long", display_name="a" * 100)
    make_user("wide", display_name="\ufdfa" * 100)  # one character that folds into eighteen
    assert found("a" * 99) == ["long"]
    assert found("\ufdfa" * 10) == ["wide"]


def test_changed_display_name_replaces_the_old_one_in_search() -> None:
    user = make_user("ila", display_name="Before")
    user.display_name = "After"
    user.save()
    assert (found("after"), found("before")) == (["ila"], [])


def test_pages_over_both_names_list_each_user_once_in_order() -> None:
    for number in range(9):
        make_user(f"a{number}" if number % 2 else f"b{number}", display_name="ab"[number % 3 % 2])
    expected = [
        user.username
        for user in User.objects.order_by("username_key")
        if "a" in (user.username[0], user.display_name)
    ]
    pages: list[list[str]] = []
    cursor = None
    while True:
        page = page_of("a", cursor, limit=2)
        pages.append([user.username for user in page])
        if "next" not in page.links:
            break
        cursor = page.links["next"]["cursor"]
    assert [name for names in pages for name in names] == expected
    back = page_of("a", page.links["prev"]["cursor"], limit=2)
    assert [user.username for user in back] == pages[-2]
