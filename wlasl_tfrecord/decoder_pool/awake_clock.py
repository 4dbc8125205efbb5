"""A clock for limits: the time in which nobody looked at it hardly counts."""

import threading
import time
from collections.abc import Callable

__all__ = ["awake_clock"]

# Whoever waits looks twice as often at least.
_MOST_SECONDS = 2.0


def awake_clock(
    monotonic: Callable[[], float] = time.monotonic,
) -> Callable[[], float]:
    """Starts a clock that stands still while this process is suspended.

    A batch system stops all processes of a job for a while, a person types Ctrl-Z, a
    container is paused: what was at work then has not hung all that time. None of
    this can be seen but by the clock having jumped since the last look.

    Args:
        monotonic: What measures the time between two looks.

    Returns:
        A function that returns the seconds since the start, from any thread; at most
        two are added between one look and the next.

    >>> now = awake_clock(iter([0.0, 1.0, 1.5, 1000.0, 1000.5]).__next__)
    >>> [now(), now(), now(), now()]
    [1.0, 1.5, 3.5, 4.0]
    """
    lock = threading.Lock()
    last, seconds = monotonic(), 0.0

    def now() -> float:
        nonlocal last, seconds
        with lock:
            current = monotonic()
            seconds += min(current - last, _MOST_SECONDS)
            last = current
            return seconds

    return now
