"""No operation reads or sorts more than its answer needs, on sites of any size.

On SQLite two sites are compared. PostgreSQL reads small tables as a whole, so there one site of
12,000 users and 4,000 rooms must stay below fixed numbers of rows. `QUERY_PLANS=full` makes sites
of 100,000 users, 10,000 rooms and 1.1 million messages.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.postgres_server import postgres_running
from tests.servers import ROOT, environment, manage


class Site(NamedTuple):
    rooms: int
    members: int
    messages: int


FULL = os.environ.get("QUERY_PLANS") == "full"
FULL_SITE = Site(10_000, 10, 550_000)
"""The first room has `messages`, the others as many together."""
# With more messages than a page of a search or of `GET /messages` looks at: those reads grow until
# then.
SMALL = Site(1_000, 10, 20_000) if FULL else Site(300, 4, 2_000)
LARGE = FULL_SITE if FULL else Site(1_300, 4, 8_000)
ON_POSTGRESQL = FULL_SITE if FULL else Site(4_000, 3, 4_000)
GROWTH = 1.25
"""An index of a larger table is deeper."""
ROUNDING = 1_000
MAX_ROWS = 1_500

Counts = dict[str, int]


def counts_of(site: Site, folder: Path, url: str) -> Counts:
    folder.mkdir()
    variables = environment(
        folder,
        DATABASE_URL=url or f"sqlite:///{folder / 'chat.sqlite3'}",
        DEBUG="0",
        ALLOWED_HOSTS="testserver",
    )
    manage(variables, "migrate", "--verbosity", "0")
    done = subprocess.run(
        [sys.executable, "-m", "tests.query_plans.measure", *map(str, site)],
        cwd=ROOT,
        env=variables,
        capture_output=True,
        text=True,
        timeout=1200 if FULL else 240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    counts: Counts = json.loads(done.stdout)
    return counts


@pytest.mark.timeout(3600 if FULL else 400)
def test_reads_on_sqlite_do_not_grow_with_the_site(tmp_path: Path) -> None:
    small, large = (
        counts_of(site, tmp_path / name, "") for name, site in (("small", SMALL), ("large", LARGE))
    )
    assert small.keys() == large.keys()
    grown = {
        name: (small[name], count)
        for name, count in large.items()
        if count > small[name] * GROWTH + ROUNDING
    }
    assert not grown


@pytest.mark.timeout(3600 if FULL else 400)
def test_reads_on_postgresql_are_as_large_as_their_answers(tmp_path: Path) -> None:
    with postgres_running() as postgres:
        counts = counts_of(ON_POSTGRESQL, tmp_path / "site", postgres.new_database())
    large = {name: count for name, count in counts.items() if count > MAX_ROWS}
    assert not large
