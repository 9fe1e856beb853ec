"""The Dockerfile: files in the image, its user, and its start command."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import ROOT, SECRET_KEY

from . import image


def test_image_contains_the_server_and_no_tests(tmp_path: Path) -> None:
    image.build(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", "import config.asgi; from realtime.servers import uvicorn_sockets"],
        cwd=tmp_path,
        env={"SECRET_KEY": SECRET_KEY, "ALLOWED_HOSTS": "a", **image.environment()},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "tests").exists()


@pytest.mark.parametrize(
    "path", [".env", "db.sqlite3", ".git/config", "tests/servers.py", "media/a"]
)
def test_build_context_excludes_local_files(path: str) -> None:
    assert not image.is_sent(path)


def test_copied_paths_are_in_the_build_context() -> None:
    for source, _ in image.copies():
        assert (ROOT / source).exists()
        inside = f"{source}/a.py" if (ROOT / source).is_dir() else source
        assert image.is_sent(inside)
        assert not image.is_sent(f"{source}/__pycache__/a.pyc")


def test_container_user_may_write_only_its_data() -> None:
    stage = image.last_stage()
    user = image.arguments("USER")
    assert user not in ("", "root", "0")
    assert ("COPY", "requirements.txt ./") not in stage
    assert not any("--chown" in rest for _, rest in stage)
    made = [rest for name, rest in stage if name == "RUN" and "--owner" in rest]
    assert [image.exec_form(one)[-3:] for one in made] == [["--owner", user, "/data"]]


def test_image_installs_the_locked_versions() -> None:
    installs = [rest for name, rest in image.instructions() if name == "RUN" and "pip" in rest]
    assert [image.exec_form(one)[-3:] for one in installs] == [
        ["--require-hashes", "--requirement", "requirements.txt"]
    ]
    versions = re.findall(
        r"^[\w.\[\],-]+==\S+", (ROOT / "requirements.txt").read_text(), re.MULTILINE
    )
    assert len(versions) > 20


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_every_locked_version_has_hashes(name: str) -> None:
    lines = (ROOT / name).read_text().replace("\\\n", "").splitlines()
    locked = [line for line in lines if line and not line.lstrip().startswith("#")]
    assert [line for line in locked if "--hash=sha256:" not in line] == []


def test_image_serves_with_the_options_of_make_serve_and_the_systemd_unit() -> None:
    options = image.command()[image.command().index("--loop") :]
    serve = (ROOT / "Makefile").read_text().replace("\\\n", "").replace("$(MAX_FRAME)", "262144")
    unit = (ROOT / "docs/deploy/chat@.service").read_text()
    for text in (serve, unit):
        assert " ".join(options) in re.sub(r"\s+", " ", text)
