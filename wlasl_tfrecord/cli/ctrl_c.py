"""What Ctrl-C does: in the first moments of a command, at work, and at its end.

Only the standard library, and little of it: the launchers in `bin/` import this before
anything is installed, and an installed command before all its other imports.
"""

# A launcher may run in a Python before 3.10, to look for another one.
from __future__ import annotations

import os
import signal
from collections.abc import Callable

__all__ = ["hold_back", "set_handler", "stop_at_once"]


def stop_at_once(program: str) -> Callable[..., None]:
    """Makes Ctrl-C end a command that is still importing: one line and exit code 130.

    Python's own answer in that time is a traceback, or none where an import catches it.

    Args:
        program: The command as its user typed it, `bin/shard` or `wlasl-shard`.

    Returns:
        The handler, for a caller that caught Ctrl-C itself.
    """

    def stop(*_: object) -> None:
        try:
            os.write(2, f"\n{program}: stopped\n".encode())
        finally:
            # There is nothing to tidy up yet.
            os._exit(130)

    set_handler(stop)
    return stop


def set_handler(handler: Callable[..., object] | signal.Handlers) -> None:
    """Sets what Ctrl-C does, and delivers one that `hold_back` kept waiting.

    A shell's background job ignores Ctrl-C, and continues to.
    """
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def hold_back() -> None:
    """Lets Ctrl-C wait while this process is replaced by another Python.

    While Python starts it would be a traceback. The new process inherits the waiting
    signal and takes it at its `set_handler`.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
