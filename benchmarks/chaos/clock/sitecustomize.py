"""Read by Python as it starts, where this folder is on the path: only in processes under libfaketime.

Since 3.11 `time.sleep` waits for an absolute time of the monotonic clock, which libfaketime 0.9.10 (Debian's)
takes for one of the wall clock and answers with "Invalid argument".
"""

import select
import time
from typing import SupportsIndex


def _sleep(seconds: float | SupportsIndex, /) -> None:
    select.select([], [], [], float(seconds))


time.sleep = _sleep
