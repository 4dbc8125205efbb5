"""Signals that ask a training to stop: it stops between two steps."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from wlasl_tfrecord.errors import TrainingError

__all__ = ["stop", "stop_signals"]

_STDERR = 2
# A main thread that runs Python handles a signal at once. One that waits within
# TensorFlow, as for another worker, does not: then another thread does after this time.
_GRACE_SECONDS = 1.0
_MESSAGE = b"\nstopping after this step; the same signal once more stops at once\n"


@contextmanager
def stop_signals() -> Iterator[list[int]]:
    """Collects SIGTERM and the first Ctrl-C, to stop between two steps.

    It prints that at once, because a step, a validation or the building of the network
    may take a while to end. A second signal ends the process, even one that waits for
    another worker within TensorFlow.
    """
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received  # only the main thread may handle signals
        return
    numbers = (signal.SIGTERM, signal.SIGINT)
    before: dict[int, Any] = {number: signal.getsignal(number) for number in numbers}

    def note(number: int, _: object) -> None:
        signal.signal(number, before[number])  # a second one stops at once
        _note(received, number)

    for number in numbers:
        signal.signal(number, note)
    try:
        with _watched(numbers, received):
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


def _note(received: list[int], number: int) -> None:
    """Remembers a signal, and prints what will happen."""
    if number not in received:
        received.append(number)
        # Not print: the signal may have come in the middle of one.
        with contextlib.suppress(OSError):
            os.write(_STDERR, _MESSAGE)


@contextmanager
def _watched(numbers: Sequence[int], received: list[int]) -> Iterator[None]:
    """Handles signals in another thread, while the main thread cannot."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    over = threading.Event()
    thread = threading.Thread(
        target=_watch, args=(reader, numbers, received, over), daemon=True
    )
    # Python writes the number of each signal there, whatever the main thread does.
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        over.set()
        os.close(writer)
        thread.join()
        os.close(reader)


def _watch(
    reader: int, numbers: Sequence[int], received: list[int], over: threading.Event
) -> None:
    """Notes the first signal, and ends the process at the second one."""
    count = 0
    while content := os.read(reader, 1):
        if content[0] not in numbers:
            continue
        count += 1
        if over.wait(_GRACE_SECONDS):
            return
        if count == 1:
            _note(received, content[0])
        else:
            with contextlib.suppress(OSError):
                os.write(_STDERR, b"\nstopped at once\n")
            os._exit(128 + content[0])
