"""The wall clock, in the contract's unit."""

import time


def now_us() -> int:
    """Tell the wall time, microseconds UTC."""
    return time.time_ns() // 1_000
