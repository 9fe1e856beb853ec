"""Rules of the tree that import-linter cannot see."""

import ast

from tests.servers import ROOT

REALTIME = ROOT / "realtime"


def test_realtime_makes_no_queries_of_its_own() -> None:
    found = set()
    for path in REALTIME.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr == "objects":
                found.add(path.relative_to(REALTIME).as_posix())
    assert not found, "Move the query to a selector, the write to a service."
