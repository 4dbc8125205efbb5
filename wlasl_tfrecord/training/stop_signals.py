"""Signals that ask a training to stop: it stops between two steps."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from wlasl_tfrecord.errors import TrainingError

__all__ = ["stop", "stop_signals"]

_STDERR = 2
_MESSAGE = b"\nstopping after this step; the same signal once more stops at once\n"


@contextmanager
def stop_signals() -> Iterator[list[int]]:
    """Collects SIGTERM and the first Ctrl-C, to stop between two steps.

    It prints that at once, because a step, a validation or the building of the network
    may take a while to end.
    """
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received  # only the main thread may handle signals
        return
    numbers = (signal.SIGTERM, signal.SIGINT)
    before: dict[int, Any] = {number: signal.getsignal(number) for number in numbers}

    def note(number: int, _: object) -> None:
        received.append(number)
        signal.signal(number, before[number])  # a second one stops at once
        # Not print: the signal may have come in the middle of one.
        with contextlib.suppress(OSError):
            os.write(_STDERR, _MESSAGE)

    for number in numbers:
        signal.signal(number, note)
    try:
        yield received
    finally:
        for number in numbers:
            signal.signal(number, before[number])


def stop(number: int, where: str) -> NoReturn:
    """Ends the run for a signal.

    Args:
        number: Number of the signal.
        where: End of the message: where the checkpoint is.

    Raises:
        KeyboardInterrupt: For Ctrl-C.
        TrainingError: For SIGTERM, which is what schedulers send.
    """
    if number == signal.SIGINT:
        print(f"stopped{where}", file=sys.stderr)
        raise KeyboardInterrupt
    raise TrainingError(f"stopped by {signal.Signals(number).name}{where}")
