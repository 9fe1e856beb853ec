"""Seeding databases for measurements: by hand, so that a new column must be added there, too."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from .rest import FEW_ROOMS, HISTORY, MANY_ROOMS, Site, seed_site


@pytest.mark.slow
def test_site_for_rest_has_members_messages_and_users_with_many_rooms(tmp_path: Path) -> None:
    seed_site(Site(users=800, rooms=400, messages=20_400), tmp_path / "site")
    tokens, ids = json.loads((tmp_path / "site" / "tokens.json").read_text())
    assert len(tokens) == len(ids) == 400
    with closing(sqlite3.connect(tmp_path / "site" / "chat.sqlite3")) as db:
        (messages,) = db.execute("SELECT count(*) FROM messaging_message").fetchone()
        counted = "SELECT count(*) FROM rooms_member WHERE user_id = ?"
        rooms = [db.execute(counted, [ids[number]]).fetchone()[0] for number in (0, 8)]
    assert messages == HISTORY + 399
    assert rooms == [FEW_ROOMS, MANY_ROOMS]
