"""Batches that need each other's rows never deadlock on PostgreSQL."""

import json
import os
import subprocess
import sys

from tests.postgres_server import postgres_running
from tests.servers import RELAXED, ROOT

RUN = """
import django; django.setup()
from tests.messaging.writer.crossing_batches import main; main()
"""


def test_crossing_batches_lock_rows_in_one_order() -> None:
    with postgres_running() as postgres:
        variables = os.environ | RELAXED | {"DATABASE_URL": postgres.new_database()}
        done = subprocess.run(
            [sys.executable, "-c", RUN],
            cwd=ROOT,
            env=variables | {"DJANGO_SETTINGS_MODULE": "config.settings"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"failed": [[], []], "deadlocks": 0}
