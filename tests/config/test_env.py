"""Environment variables: defaults, checks, and the sentence of a wrong start."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from accounts.kernel.rate_limits import Rate
from config.env import Environment, read_environment
from config.secret_key import DEVELOPMENT_KEY
from config.settings import database
from tests.servers import ROOT, environment

KEY = "a-key-of-32-different-characters"


@pytest.fixture(autouse=True)
def development(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets DEBUG only, and reads no file."""
    for name in Environment.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("DEBUG", "1")
    monkeypatch.setenv("ENV_FILE", os.devnull)


def read(**variables: str) -> Environment:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        return read_environment()


def sentence(**variables: str) -> str:
    """Returns the sentence that ends the start."""
    with pytest.raises(SystemExit) as end:
        read(**variables)
    assert isinstance(end.value.code, str)
    return end.value.code


def test_development_needs_no_other_variable() -> None:
    env = read()
    assert (env.debug, env.host, env.port) == (True, "127.0.0.1", 8000)
    assert env.database_url.startswith("sqlite:///")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "http"),
        ("PORT", "0"),
        ("PORT", "65536"),
        ("DEBUG", "perhaps"),
        ("LOG_LEVEL", "loud"),
        ("REDIS_URL", "localhost"),
        ("REDIS_URL", "http://localhost:6379"),
        ("REDIS_URL", "redis://a,b"),
        ("REDIS_URL", "redis://a,redis://a"),
        ("CHAT_REGISTER_RATE", "many"),
        ("CHAT_LOGIN_RATE", "20"),
        ("CHAT_LOGIN_NAME_RATE", "0/m"),
        ("CHAT_MESSAGE_RATE", "20/y"),
        ("CHAT_FRAME_RATE", "-1/s"),
        ("CHAT_ROOM_RATE", "60 per hour"),
        ("CHAT_SOCKETS_PER_USER", "0"),
        ("CHAT_SOCKETS_PER_USER", "many"),
        ("CHAT_PENDING_PER_ADDRESS", "-5"),
        ("CHAT_MESSAGE_LENGTH", "0"),
        ("CHAT_MESSAGE_LENGTH", "16001"),
        ("CHAT_ACCESS_TOKEN_MINUTES", "0"),
        ("CHAT_ACCESS_TOKEN_MINUTES", "inf"),
        ("CHAT_ACCESS_TOKEN_MINUTES", "1e300"),
        ("CHAT_ACCESS_TOKEN_MINUTES", "nan"),
        ("CHAT_REFRESH_TOKEN_DAYS", "-1"),
        ("CHAT_REFRESH_TOKEN_DAYS", "inf"),
        ("CHAT_TRUSTED_PROXIES", "11"),
        ("CHAT_HSTS_SECONDS", "-1"),
        ("CHAT_PASSWORD_ITERATIONS", "0"),
        ("CHAT_LOG_FORMAT", "xml"),
        ("CHAT_METRICS_TOKEN", "short"),
        ("CHAT_METRICS_TOKEN", "long enough but with spaces"),
        ("SENTRY_DSN", "sentry.example.com"),
        ("SENTRY_DSN", "https://sentry.example.com/1"),
    ],
)
def test_malformed_variable_ends_the_start_with_its_name(name: str, value: str) -> None:
    text = sentence(**{name: value})
    assert text.startswith(f"The server cannot start. {name}: ")
    assert text.endswith(".")
    assert "\n" not in text


@pytest.mark.parametrize(
    ("variables", "name"),
    [
        ({"ALLOWED_HOSTS": "chat.example.com"}, "SECRET_KEY"),
        ({"ALLOWED_HOSTS": "chat.example.com", "SECRET_KEY": "short"}, "SECRET_KEY"),
        ({"ALLOWED_HOSTS": "chat.example.com", "SECRET_KEY": DEVELOPMENT_KEY}, "SECRET_KEY"),
        ({"ALLOWED_HOSTS": "chat.example.com", "SECRET_KEY": "k" * 64}, "SECRET_KEY"),
        ({"ALLOWED_HOSTS": "chat.example.com", "SECRET_KEY": "abcdefg" * 9}, "SECRET_KEY"),
        ({"SECRET_KEY": KEY}, "ALLOWED_HOSTS"),
        ({"SECRET_KEY": KEY, "ALLOWED_HOSTS": " , "}, "ALLOWED_HOSTS"),
    ],
)
def test_missing_variable_in_production_ends_the_start(
    variables: dict[str, str], name: str
) -> None:
    text = sentence(DEBUG="0", **variables)
    assert text.startswith(f"The server cannot start. {name} is ")
    assert "\n" not in text


def test_production_starts_with_a_key_and_hosts() -> None:
    env = read(DEBUG="0", SECRET_KEY=KEY, ALLOWED_HOSTS="chat.example.com, www.example.com")
    assert env.allowed_hosts == ["chat.example.com", "www.example.com"]


def test_error_sentence_holds_no_secret() -> None:
    assert "hunter2" not in sentence(DEBUG="0", SECRET_KEY="hunter2")
    assert "hunter2" not in sentence(CHAT_METRICS_TOKEN="hunter2")
    assert "hunter2" not in sentence(SENTRY_DSN="https://hunter2@")


def test_limits_can_be_set_and_switched_off() -> None:
    env = read(
        CHAT_MESSAGE_RATE="5/m",
        CHAT_ROOM_RATE="off",
        CHAT_SOCKETS_PER_USER="OFF",
        CHAT_PENDING_PER_ADDRESS="3",
    )
    assert env.chat_message_rate == Rate(5, 60, 5)
    assert env.chat_room_rate is None
    assert env.chat_sockets_per_user is None
    assert env.chat_pending_per_address == 3


def test_login_rate_off_also_switches_off_the_rate_per_name() -> None:
    env = read(CHAT_LOGIN_RATE="off")
    assert (env.chat_login_rate, env.chat_login_name_rate) == (None, None)
    env = read(CHAT_LOGIN_RATE="off", CHAT_LOGIN_NAME_RATE="3/m")
    assert (env.chat_login_rate, env.chat_login_name_rate) == (None, Rate(3, 60, 3))


def test_message_length_can_be_switched_off() -> None:
    assert read(CHAT_MESSAGE_LENGTH="off").chat_message_length is None


def test_development_accepts_any_key() -> None:
    assert read(DEBUG="1", SECRET_KEY="short").secret_key == "short"


def test_limits_have_the_defaults_of_the_contract() -> None:
    env = read()
    assert env.chat_register_rate == Rate(60, 3600, 60)
    assert env.chat_login_rate == Rate(20, 60, 20)
    assert env.chat_login_name_rate == Rate(10, 60, 10)
    assert env.chat_message_rate == Rate(20, 1, 40)
    assert env.chat_frame_rate == Rate(50, 1, 100)
    assert env.chat_room_rate == Rate(60, 3600, 60)
    assert (env.chat_sockets_per_user, env.chat_pending_per_address) == (50, 20)
    assert env.chat_message_length == 4000
    assert (env.chat_access_token_minutes, env.chat_refresh_token_days) == (60, 14)


def test_each_new_env_file_has_its_own_key(tmp_path: Path) -> None:
    keys = set()
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        for file in ("Makefile", ".env.example"):
            shutil.copy(ROOT / file, folder)
        subprocess.run(["make", ".env"], cwd=folder, check=True, capture_output=True)
        assert (folder / ".env").stat().st_mode & 0o077 == 0
        keys.add(read(ENV_FILE=str(folder / ".env")).secret_key)
    assert len(keys) == 2
    assert min(map(len, keys)) >= 50


def test_settings_come_from_env_file(tmp_path: Path) -> None:
    file = tmp_path / "chat.env"
    file.write_text(
        "DATABASE_URL='postgres://chat:a%20b@db/chat?sslmode=require&connect_timeout=5'\n"
    )
    env = read(ENV_FILE=str(file))
    assert env.database_url.endswith("@db/chat?sslmode=require&connect_timeout=5")


def test_example_is_for_development(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEBUG")
    env = read(ENV_FILE=str(ROOT / ".env.example"))
    assert env.debug
    assert (env.host, env.port) == ("127.0.0.1", 8000)
    assert database(env.database_url)["NAME"].endswith("/db.sqlite3")


def variables_by_heading(text: str, heading: str, variable: str) -> list[tuple[str, list[str]]]:
    """Returns the names of variables in order, under the heading before them."""
    groups: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if found := re.fullmatch(heading, line):
            groups.append((found[1], []))
        elif (found := re.match(variable, line)) and groups:
            groups[-1][1].append(found[1].upper())
    return [(name, variables) for name, variables in groups if variables]


def test_example_and_environment_have_the_same_variables_in_the_same_groups() -> None:
    example = (ROOT / ".env.example").read_text()
    fields = (ROOT / "config/env.py").read_text()
    described = variables_by_heading(example, "# ---- (.+) ----", r"#?([A-Z][A-Z_]*)=")
    assert described == variables_by_heading(fields, r" {4}# ([A-Z].+)", r" {4}([a-z_]+): ")
    names = [name for _, variables in described for name in variables]
    assert sorted(names) == sorted(name.upper() for name in Environment.model_fields)


def test_commented_out_lines_of_the_example_show_the_defaults(tmp_path: Path) -> None:
    example = (ROOT / ".env.example").read_text()
    file = tmp_path / "all.env"
    file.write_text(re.sub(r"^#([A-Z][A-Z_]*=)", r"\1", example, flags=re.MULTILINE))
    everything = read(ENV_FILE=str(file)).model_dump()
    assert everything.pop("media_root") == Path("media")
    assert everything == {name: read().model_dump()[name] for name in everything}


def test_process_environment_overrides_the_file(tmp_path: Path) -> None:
    file = tmp_path / "chat.env"
    file.write_text("PORT=9000\nHOST=0.0.0.0\n")
    env = read(ENV_FILE=str(file), PORT="9001")
    assert (env.host, env.port) == ("0.0.0.0", 9001)


def test_unreadable_env_file_ends_the_start(tmp_path: Path) -> None:
    missing = tmp_path / "chat.env"
    assert sentence(ENV_FILE=str(missing)) == (
        f"The server cannot start. ENV_FILE: {missing} cannot be read: No such file or directory."
    )
    assert sentence(ENV_FILE=str(tmp_path)).endswith("cannot be read: Is a directory.")


def test_make_targets_for_checks_and_tests_ignore_env_file(tmp_path: Path) -> None:
    """A developer's `.env` may contain a Redis and a Sentry that are in use."""
    log, tools = tmp_path / "log", tmp_path / "bin"
    tools.mkdir()
    for name in ("python", "mypy", "ruff", "lint-imports"):
        (tools / name).write_text(f'#!/bin/sh\n[ "$1" = -c ] || echo "{name} $ENV_FILE" >> {log}\n')
        (tools / name).chmod(0o755)
    for stamp in (".run-installed", ".dev-installed"):
        (tmp_path / stamp).touch()
    subprocess.run(
        ["make", *("test", "lint", "bench", "faults"), f"VENV={tmp_path}"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        stdout=subprocess.DEVNULL,
        timeout=60,
        check=True,
    )
    ran = log.read_text().splitlines()
    assert {line for line in ran if not line.startswith(("ruff", "lint-imports"))} == {
        f"python {os.devnull}",
        f"mypy {os.devnull}",
    }
    assert environment(tmp_path)["ENV_FILE"] == os.devnull


def test_observability_needs_no_setting() -> None:
    env = read()
    assert (env.chat_log_format, env.chat_metrics_token, env.sentry_dsn) == ("", "", "")
    assert read(SENTRY_DSN="https://key@sentry.example.com/1").sentry_dsn


def test_empty_variable_counts_as_unset() -> None:
    assert read(PORT="", CHAT_MESSAGE_RATE="").port == 8000


@pytest.mark.parametrize("url", ["redis://localhost", "rediss://:pw@host:6380/1", "unix:///r.sock"])
def test_redis_url_is_accepted(url: str) -> None:
    assert read(REDIS_URL=url).redis_url == [url]


def test_several_redis_urls_are_separated_by_commas() -> None:
    assert read(REDIS_URL="redis://a, rediss://b:6380/1").redis_url == [
        "redis://a",
        "rediss://b:6380/1",
    ]


@pytest.mark.parametrize(
    "url",
    ["nonsense", "ftp://host/name", "postgres://user:pw@host:port/name", "mysql://user@host/name"],
)
def test_malformed_database_url_ends_the_start(url: str) -> None:
    with pytest.raises(SystemExit) as end:
        database(url)
    assert str(end.value.code).startswith("The server cannot start. DATABASE_URL ")
    assert "pw" not in str(end.value.code)


def test_both_databases_have_their_options() -> None:
    assert database("sqlite:///chat.sqlite3")["OPTIONS"]["transaction_mode"] == "IMMEDIATE"
    assert database("postgres://user:pw@host/name")["OPTIONS"]["pool"]


def test_development_without_a_key_logs_one_warning() -> None:
    for key, warnings in (("", 1), (DEVELOPMENT_KEY, 1), (KEY, 0)):
        done = subprocess.run(
            [sys.executable, "-c", "import config.asgi"],
            cwd=ROOT,
            env=os.environ | {"DEBUG": "1", "SECRET_KEY": key},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert done.stderr.count("development key signs all tokens") == warnings
        assert DEVELOPMENT_KEY not in done.stderr


def test_start_without_a_key_prints_one_sentence() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import config.settings"],
        cwd=ROOT,
        env=os.environ | {"DEBUG": "0", "SECRET_KEY": "short", "ALLOWED_HOSTS": "a"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("The server cannot start. SECRET_KEY is too short")
    assert done.stderr.count("\n") == 1
