"""One stack for all tests here, started by the commands of compose.yaml."""

from collections.abc import Iterator

import pytest

from . import compose_file
from .stack import Stack, stack_running


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with stack_running(tmp_path_factory.mktemp("image")) as running:
        done = running.migrate.run(compose_file.services()["migrate"]["command"])
        assert done.returncode == 0, done.stderr
        for container in running.containers:
            container.start()
        yield running
