"""The wire is what the snapshots say: a change of it is seen in review."""

import difflib

import pytest

from . import snapshots


@pytest.mark.parametrize("name", snapshots.SNAPSHOTS)
def test_wire_matches_its_snapshot(name: str) -> None:
    stored = (snapshots.FOLDER / name).read_text()
    current = snapshots.text_of(name)
    if current == stored:
        return
    diff = difflib.unified_diff(
        stored.splitlines(), current.splitlines(), "checked in", "this code", lineterm=""
    )
    pytest.fail(
        f"The wire has changed: tests/wire/{name} differs. Clients see this change. To accept it, "
        "run `make snapshots` and check in the file with the code.\n" + "\n".join(diff),
        pytrace=False,
    )
