"""The application on a host whose clock is off by FAULTS_CLOCK_OFF seconds.

Only what tells the time of day is shifted, below Python: `time.monotonic` runs on, as it would.
"""

import os
from datetime import timedelta

import time_machine

time_machine.travel(timedelta(seconds=float(os.environ["FAULTS_CLOCK_OFF"]))).start()

from config.asgi import application  # noqa: E402 - what is imported may look at the clock

__all__ = ["application"]
