"""The digests of many videos, read side by side, none of them for ever."""

import contextlib
import queue
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError

from wlasl_tfrecord.decoder_pool.awake_clock import awake_clock
from wlasl_tfrecord.errors import VideoError
from wlasl_tfrecord.video.content_hash import sha256_of

__all__ = ["read_digests"]

# Disks and SHA-256 both like several at a time, whatever the number of cores.
_NUM_THREADS = 8

Result = str | VideoError


def read_digests(
    paths: Sequence[str], timeout_seconds: float
) -> Iterator[tuple[str, Result]]:
    """Reads every video once.

    A file may have no end in sight, or hang: where the server of a network mount is
    gone, nothing ends the call that reads it. So the threads are of the kind that
    Python does not wait for, and for one that is late another takes over.

    Args:
        paths: Files, or folders of images.
        timeout_seconds: How long one of them may take.

    Yields:
        Each path with its digest, in hex, or with the reason why there is none; in the
        order of the paths.
    """
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in range(len(paths)):
        waiting.put(number)
    begun: dict[int, tuple[float, threading.Event]] = {}
    results: dict[int, Result] = {}
    changed = threading.Condition()
    clock = awake_clock()

    def work() -> None:
        while True:
            try:
                number = waiting.get_nowait()
                given_up = threading.Event()
                begun[number] = clock(), given_up
                result = _digest(paths[number], given_up)
            except (queue.Empty, CancelledError):
                return
            with changed:
                results.setdefault(number, result)
                changed.notify()

    def start() -> None:
        threading.Thread(target=work, daemon=True).start()

    for _ in range(min(_NUM_THREADS, len(paths))):
        start()
    try:
        for number, path in enumerate(paths):
            with changed:
                while number not in results:
                    changed.wait(timeout=min(timeout_seconds, 1.0))
                    since, given_up = begun.get(number, (0.0, None))
                    if given_up and clock() - since > timeout_seconds:
                        given_up.set()
                        results.setdefault(number, _too_late(timeout_seconds))
                        start()
                result = results[number]
            yield path, result
    finally:
        # After Ctrl-C nobody waits for thousands of videos, nor for a large one.
        with contextlib.suppress(queue.Empty):
            while True:
                waiting.get_nowait()
        for _, given_up in list(begun.values()):
            given_up.set()


def _digest(path: str, given_up: threading.Event) -> Result:
    try:
        return sha256_of(path, given_up)
    except VideoError as error:
        return error
    except OSError as error:
        return VideoError("unreadable", error.strerror or str(error))


def _too_late(timeout_seconds: float) -> VideoError:
    return VideoError("timeout", f"not read within {timeout_seconds:g} seconds")
