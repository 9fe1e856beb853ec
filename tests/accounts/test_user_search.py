"""Users are searched by prefix of username or display name."""

import itertools

import pytest

from accounts.kernel.errors import Invalid
from accounts.kernel.pagination import Page, cursor_after
from accounts.models import User
from accounts.user_search import FoundUser, search_users
from tests.factories import make_user

pytestmark = pytest.mark.django_db


def page_of(text: str, cursor: str | None = None, limit: int = 50) -> Page[FoundUser]:
    return search_users(text, cursor=cursor, limit=limit)


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


def pages_of(text: str, limit: int) -> tuple[list[list[str]], list[Page[FoundUser]]]:
    pages, cursor = [], None
    while True:
        page = page_of(text, cursor, limit)
        pages.append(page)
        if "next" not in page.links:
            return [[user.username for user in page] for page in pages], pages
        cursor = page.links["next"]["cursor"]


def matching_name(user: User, text: str) -> str | None:
    """Returns the name by which a user is found, the username if both match."""
    keys = (user.username_key, user.display_key)
    return next((key for key in keys if key.startswith(text)), None)


@pytest.mark.parametrize("text", ["", "a", "ab", "aba", "b"])
def test_pages_list_each_user_once_in_the_order_of_the_name_that_matches(text: str) -> None:
    usernames = ["a", "b", "ab", "aba", "abb", "ba", "c"]
    displays = ["", "A", "Ab", "Aba x", "B", "c"]
    for number, (start, display) in enumerate(itertools.product(usernames, displays)):
        make_user(f"{start}.{number}", display_name=display)
    found_by = {
        user.username: (key, user.pk)
        for user in User.objects.all()
        if (key := matching_name(user, text)) is not None
    }
    expected = sorted(found_by, key=found_by.__getitem__)
    assert expected
    for limit in (2, 5, 50):
        forward, pages = pages_of(text, limit)
        assert [name for names in forward for name in names] == expected
        for here, before in zip(pages[1:], forward, strict=False):
            back = page_of(text, here.links["prev"]["cursor"], limit)
            assert [user.username for user in back] == before


def test_a_long_search_finds_a_display_name_only() -> None:
    make_user("a" * 64)
    make_user("other", display_name="a" * 100)
    assert found("a" * 64) == ["a" * 64, "other"]
    assert found("a" * 65) == ["other"]


@pytest.mark.parametrize("values", ["wrong", 5])
def test_a_cursor_of_another_list_is_refused(values: object) -> None:
    with pytest.raises(Invalid):
        page_of("a", cursor_after(1))
    with pytest.raises(Invalid):
        page_of("a", f"{values}")


def test_a_cursor_never_leads_beyond_the_search() -> None:
    for name in ("aa", "ab", "ba", "bb"):
        make_user(name)
    start = page_of("", limit=1).links["next"]["cursor"]
    assert [user.username for user in page_of("b", start)] == ["ba", "bb"]
    assert [user.username for user in page_of("a", start)] == ["ab"]
