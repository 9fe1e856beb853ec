"""The project and the API have the same version."""

import tomllib

from config import VERSION
from config.api import api
from tests.servers import ROOT


def test_the_api_and_the_project_have_one_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == VERSION
    assert api.get_openapi_schema()["info"]["version"] == VERSION
