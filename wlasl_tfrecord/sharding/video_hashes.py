"""The hashes of many videos, read side by side, each within a time limit."""

import contextlib
import queue
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError

from wlasl_tfrecord.decoder_pool.awake_clock import awake_clock
from wlasl_tfrecord.errors import VideoError, WlaslError
from wlasl_tfrecord.video.content_hash import sha256_of

__all__ = ["hash_videos"]

# Disks and SHA-256 both like several at a time, whatever the number of cores.
_NUM_THREADS = 8

Result = str | VideoError


def hash_videos(
    paths: Sequence[str], timeout_seconds: float
) -> Iterator[tuple[str, Result]]:
    """Reads every video once.

    A file may have no end, or hang: where the server of a network mount is gone,
    nothing ends the call that reads it. So the threads are daemons, which Python does
    not wait for, and a late one is replaced by another.

    Args:
        paths: Files, or folders of images.
        timeout_seconds: How long one of them may take.

    Yields:
        Each path with the hex SHA-256 of its content, or with the reason why there is
        none; in the order of the paths.

    Raises:
        WlaslError: If the system starts no thread.
    """
    work = _Work(paths)
    for _ in range(min(_NUM_THREADS, len(paths))):
        work.start_thread()
    try:
        for number, path in enumerate(paths):
            yield path, work.result(number, timeout_seconds)
    finally:
        work.cancel()


class _Work:
    """The videos that threads are still to hash, and what came of the others."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = paths
        self._waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
        for number in range(len(paths)):
            self._waiting.put(number)
        # Number -> when it was begun, and what cancels it.
        self._begun: dict[int, tuple[float, threading.Event]] = {}
        self._results: dict[int, Result] = {}
        self._changed = threading.Condition()
        self._clock = awake_clock()

    def start_thread(self) -> None:
        """Starts one more thread, which ends when no video waits."""
        try:
            threading.Thread(target=self._run, daemon=True).start()
        except RuntimeError as error:
            raise WlaslError(
                f"{error}; allow more processes or memory (ulimit -u, -v)"
            ) from error

    def result(self, number: int, timeout_seconds: float) -> Result:
        """Waits for the hash of one video, or for the end of its time."""
        with self._changed:
            while number not in self._results:
                self._changed.wait(timeout=min(timeout_seconds, 1.0))
                since, cancelled = self._begun.get(number, (0.0, None))
                if cancelled and self._clock() - since > timeout_seconds:
                    cancelled.set()
                    details = f"not read within {timeout_seconds:g} seconds"
                    self._results.setdefault(number, VideoError("timeout", details))
                    self.start_thread()
            return self._results[number]

    def cancel(self) -> None:
        """Ends the threads: after Ctrl-C nobody waits for thousands of videos."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._waiting.get_nowait()
        for _, cancelled in list(self._begun.values()):
            cancelled.set()

    def _run(self) -> None:
        while True:
            try:
                number = self._waiting.get_nowait()
                cancelled = threading.Event()
                self._begun[number] = self._clock(), cancelled
                result = _hash(self._paths[number], cancelled)
            except (queue.Empty, CancelledError):
                return
            with self._changed:
                self._results.setdefault(number, result)
                self._changed.notify()


def _hash(path: str, cancelled: threading.Event) -> Result:
    try:
        return sha256_of(path, cancelled)
    except VideoError as error:
        return error
    except OSError as error:
        return VideoError("unreadable", error.strerror or str(error))
