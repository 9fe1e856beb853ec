"""Checks rules of the tree that import-linter's contracts cannot."""

import ast
from itertools import permutations

import grimp
import pytest

from tests.servers import ROOT

REALTIME = ROOT / "realtime"
MAX_IMPORTS = 40
"""Between the packages and modules at the top of `realtime`: raise it for a new part only."""


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    graph = grimp.build_graph("realtime", cache_dir=None)
    for package in [name for name in graph.find_children("realtime") if graph.find_children(name)]:
        graph.squash_module(package)
    return graph


def test_top_of_realtime_keeps_few_imports(graph: grimp.ImportGraph) -> None:
    parts = graph.find_children("realtime")
    imports = [
        (importer, imported)
        for importer, imported in permutations(parts, 2)
        if graph.direct_import_exists(importer=importer, imported=imported)
    ]
    assert len(imports) <= MAX_IMPORTS, sorted(imports)


def test_parts_of_realtime_import_each_other_in_one_direction(graph: grimp.ImportGraph) -> None:
    assert not graph.nominate_cycle_breakers("realtime")


def test_realtime_makes_no_queries_of_its_own() -> None:
    found = set()
    for path in REALTIME.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr == "objects":
                found.add(path.relative_to(REALTIME).as_posix())
    assert not found, "Move the query to a selector, the write to a service."
