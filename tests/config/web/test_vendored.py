"""Vendored files are those that VENDORED.md describes."""

import hashlib
import re

from tests.servers import ROOT

FOLDER = ROOT / "config" / "web" / "static" / "web" / "vendor"
ROW = re.compile(r"^\| `([^`]+)` \|.*\| `([0-9a-f]{64})` \|$", re.MULTILINE)


def test_vendored_files_have_the_hashes_of_their_list() -> None:
    listed = dict(ROW.findall((FOLDER / "VENDORED.md").read_text()))
    found = {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in FOLDER.glob("*.js")
    }
    assert listed
    assert found == listed
