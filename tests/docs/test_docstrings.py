"""The first line of a docstring is a sentence that tools show alone."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import ROOT

PACKAGES = ("accounts", "rooms", "messaging", "realtime", "config", "clients/python")
MAX_LENGTH = 80
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def first_lines(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, DOCUMENTED) and (text := ast.get_docstring(node)):
            yield text.splitlines()[0]


@pytest.mark.parametrize("package", PACKAGES)
def test_first_line_of_a_docstring_is_short(package: str) -> None:
    files = [file for file in (ROOT / package).rglob("*.py") if "migrations" not in file.parts]
    assert files
    assert not [line for file in files for line in first_lines(file) if len(line) >= MAX_LENGTH]
