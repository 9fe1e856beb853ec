"""The files for a public forge agree with the requirements and the Makefile."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.servers import ROOT

FILES = [
    ROOT / ".pre-commit-config.yaml",
    *sorted((ROOT / ".github").rglob("*.yml")),
]
KINDS = {"markdown", "input", "textarea", "dropdown", "checkboxes"}


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_yaml_is_a_mapping(path: Path) -> None:
    assert isinstance(read(path), dict)


def test_hooks_have_the_locked_versions() -> None:
    locked = re.search(r"^ruff==(\S+)", (ROOT / "requirements-dev.txt").read_text(), re.MULTILINE)
    assert locked is not None
    hooks = read(ROOT / ".pre-commit-config.yaml")["repos"]
    assert [repo["rev"] for repo in hooks if "ruff" in repo["repo"]] == [f"v{locked[1]}"]


def test_workflow_runs_targets_that_exist_with_the_least_permissions() -> None:
    workflow = read(ROOT / ".github/workflows/ci.yml")
    assert workflow["permissions"] == {"contents": "read"}
    steps = workflow["jobs"]["test"]["steps"]
    commands = [step["run"] for step in steps if "run" in step]
    assert {"make lint", "make test"} <= set(commands)
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    named = {command.split()[1] for command in commands if command.startswith("make ")}
    assert named <= set(targets)


@pytest.mark.parametrize("name", ["bug", "feature"])
def test_issue_form_has_labelled_fields_with_unique_ids(name: str) -> None:
    form = read(ROOT / f".github/ISSUE_TEMPLATE/{name}.yml")
    assert form["name"]
    assert form["description"]
    assert {field["type"] for field in form["body"]} <= KINDS
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert all(field["attributes"]["label"] for field in fields)
    ids = [field["id"] for field in fields]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("name", ["SECURITY.md", "CONTRIBUTING.md"])
def test_links_lead_to_files(name: str) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", (ROOT / name).read_text())
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
