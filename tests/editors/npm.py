"""The tools of package.json, run where they reach this machine alone."""

from pathlib import Path

from tests.openapi.tools import run

FOLDER = Path(__file__).resolve().parent
POSTMAN_CLI = "../@postman/pm-bin-linux-x64/bin/postman"
"""Postman's own command line. It is there for few systems; elsewhere npm leaves it out."""
NO_INTERNET = {"HTTPS_PROXY": "http://127.0.0.1:9"}
"""The Postman CLI asks for newer versions and reports its runs; requests here are plain HTTP."""


def has_postman_cli() -> bool:
    return (FOLDER / "node_modules/.bin" / POSTMAN_CLI).exists()


def run_tool(tool: str, *arguments: str, home: Path) -> str:
    """Runs a tool in `home`, where it may leave its settings and reports."""
    return run(tool, *arguments, folder=FOLDER, cwd=home, env=NO_INTERNET | {"HOME": str(home)})
