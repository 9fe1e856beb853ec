"""Runs the application on a clock that is off by FAULTS_CLOCK_OFF seconds.

Only the time of day is shifted, below Python; `time.monotonic` is unchanged.
"""

import os
from datetime import timedelta

import time_machine

time_machine.travel(timedelta(seconds=float(os.environ["FAULTS_CLOCK_OFF"]))).start()

from config.asgi import application  # noqa: E402 - imported modules may read the clock

__all__ = ["application"]
