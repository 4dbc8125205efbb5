"""A limit on TensorFlow's own wait for the other workers.

TensorFlow connects the workers with Python's interpreter lock held, and catches SIGTERM
for itself: until it is done no thread of Python runs, and no handler. Mostly that takes
some seconds. If another worker dies in them it takes for ever. So a small process
watches this one from outside, and a timer of C ends it.
"""

import contextlib
import faulthandler
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

__all__ = ["connect_limit", "sigterm_watched"]

# Between the watcher's line and the end of this process.
_TIMER_SECONDS = 0.5
# It gets: id of the process, seconds, the two lines. Its stdin closes when the process
# has connected, or is gone.
_WATCHER = """
import os, select, signal, sys, time

process, seconds, late, stopped = sys.argv[1:]
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
deadline = time.monotonic() + float(seconds)

def has_sigterm():
    # Linux tells which signals wait for a process; elsewhere they wait until the end.
    try:
        with open("/proc/%s/status" % process) as file:
            waiting = [line for line in file if line.startswith("ShdPnd:")]
        return bool(int(waiting[0].split()[1], 16) & 1 << signal.SIGTERM - 1)
    except (OSError, IndexError, ValueError):
        return False

is_over = lambda seconds: bool(select.select([0], [], [], max(seconds, 0))[0])
while not is_over(min(0.2, deadline - time.monotonic())):
    if time.monotonic() >= deadline:
        print(late, file=sys.stderr, flush=True)
        break
    # It may connect in this moment, and stop in good order.
    if has_sigterm() and not is_over(1):
        print(stopped, file=sys.stderr, flush=True)
        os.kill(int(process), signal.SIGKILL)
        break
"""


@contextlib.contextmanager
def connect_limit(seconds: float, late: str) -> Iterator[None]:
    """Ends this process if TensorFlow has not connected the workers in time.

    Ctrl-C ends it at once, and SIGTERM after a second: there is nothing to tidy up. A
    SIGTERM that comes just before the end is delivered after it.

    Args:
        seconds: The limit; the exit code is then 1.
        late: The line to print then.
    """
    with (
        open(os.devnull, "w") as nowhere,
        sigterm_watched(seconds, late),
        _default_ctrl_c(),
    ):
        # The timer needs no interpreter lock. What it prints helps nobody.
        faulthandler.dump_traceback_later(
            seconds + _TIMER_SECONDS, exit=True, file=nowhere
        )
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()


@contextlib.contextmanager
def sigterm_watched(seconds: float = 1e9, late: str = "") -> Iterator[None]:
    """Holds SIGTERM back for another process, which ends this one a second later.

    It is for the import of TensorFlow too: its threads hold back what the thread holds
    back that starts them, and SIGTERM waits for the watcher only if all threads do.
    Only the main thread can do this; in another one only the time is watched.

    Args:
        seconds: Time until the watcher prints a line.
        late: The line.
    """
    watcher = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _WATCHER, str(os.getpid()), str(seconds),
         late, "stopped by SIGTERM while the workers were being connected"],
        stdin=subprocess.PIPE,
    )  # fmt: skip
    in_main_thread = threading.current_thread() is threading.main_thread()
    held = {signal.SIGTERM} if in_main_thread else set()
    before = signal.getsignal(signal.SIGTERM)
    signal.pthread_sigmask(signal.SIG_BLOCK, held)
    try:
        yield
    finally:
        if in_main_thread:
            # TensorFlow has set one of its own.
            signal.signal(signal.SIGTERM, before)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, held)
        assert watcher.stdin is not None
        watcher.stdin.close()
        watcher.wait()


@contextlib.contextmanager
def _default_ctrl_c() -> Iterator[None]:
    """Gives Ctrl-C back to the system, which ends the process at once.

    A shell's background job ignores Ctrl-C, and continues to.
    """
    before = signal.getsignal(signal.SIGINT)
    in_main_thread = threading.current_thread() is threading.main_thread()
    if before is signal.SIG_IGN or not in_main_thread:
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
