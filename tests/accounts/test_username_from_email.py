"""An account registered with an address only gets a username made from it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.kernel.names import is_new_name
from accounts.username_from_email import name_from_email


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
def test_username_is_made_from_the_local_part(email: str, name: str) -> None:
    assert name_from_email(email) == name


@given(st.text(max_size=100))
def test_every_local_part_yields_a_valid_username(text: str) -> None:
    assert is_new_name(name_from_email(text))
