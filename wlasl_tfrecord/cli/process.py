"""The process of a command: its streams, its memory allocator, TensorFlow's start."""

import atexit
import contextlib
import io
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from absl import logging

from wlasl_tfrecord.cli import ctrl_c
from wlasl_tfrecord.errors import WlaslError
from wlasl_tfrecord.network.model_file import check_keras_version
from wlasl_tfrecord.text import printable

__all__ = [
    "check_current_folder",
    "end_at_once",
    "ignore_cuda_sdk_lib",
    "import_tensorflow",
    "keep_freed_memory",
    "mute",
    "open_closed_streams",
    "printable_streams",
]

# glibc returns buffers of megabytes to the kernel as soon as they are free, and every
# clip then pays for new, zeroed pages: the raw pipeline ran at 544 clips/s with glibc's
# defaults and at 805 with these. If one of them is set already, all are left alone.
_MALLOC = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(4 << 30),
    "MALLOC_TOP_PAD_": str(64 << 20),
}

_START_MESSAGES = (
    b"I0000 ",
    b"WARNING: All log messages before absl::InitializeLog()",
)


def open_closed_streams() -> None:
    """Opens /dev/null for each of stdin, stdout and stderr that is closed (`2>&-`).

    Otherwise the next file that is opened gets its number, and what is printed goes
    into that file.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            # The system takes the lowest free number, which is this one. Decoder
            # processes inherit it.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w" if number else "r"))  # noqa: SIM115


@contextlib.contextmanager
def printable_streams() -> Iterator[None]:
    """Escapes what would control a terminal in whatever stdout and stderr are given.

    A gloss, a file name or a version in a received folder may contain such characters.
    This is the one place that all prints, log lines and tracebacks pass. Characters
    that the terminal's encoding does not have are escaped, too.
    """
    streams = sys.stdout, sys.stderr
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.stdout, sys.stderr = map(_PrintableStream, streams)  # pyright: ignore
    # It keeps the stream that it found when it was imported.
    handler = logging.get_absl_handler().python_handler
    logged_to = handler.setStream(sys.stderr)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams
        if logged_to is not None:
            handler.setStream(logged_to)


class _PrintableStream:
    """A text stream that escapes what would control a terminal."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Writes a text."""
        # A progress bar starts or ends with the return to the start of its line.
        start = text[: text.startswith("\r")]
        end = text[-1:] if len(text) > 1 and text.endswith("\r") else ""
        middle = text[len(start) : len(text) - len(end)]
        self._stream.write(start + printable(middle) + end)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Writes texts."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        """Has all else that the stream has."""
        return getattr(self._stream, name)


def mute() -> None:
    """Sends stdout to /dev/null, so that Python does not fail to flush it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def end_at_once(code: int) -> NoReturn:
    """Ends the process with a code, before C++ destroys what is global.

    tensorflow-io 0.37.1 has a client of AWS among that. When it is destroyed it writes
    to a log that is gone already, and the process aborts ("pure virtual method called",
    134). Nothing in Python can destroy it earlier: the plugin exports no function of
    the AWS SDK.
    """
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def keep_freed_memory() -> None:
    """Starts the process again with `_MALLOC`, which glibc reads only at its start."""
    if sys.platform == "linux" and not _MALLOC.keys() & os.environ.keys():
        os.environ.update(_MALLOC)
        ctrl_c.hold_back()
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def check_current_folder() -> None:
    """Checks that the current folder exists: every relative path depends on it.

    Raises:
        WlaslError: If it was removed.
    """
    try:
        os.getcwd()
    except FileNotFoundError as error:
        raise WlaslError(
            "the current folder no longer exists; cd to one that does"
        ) from error


def ignore_cuda_sdk_lib() -> None:
    """Has XLA not take its assembler for GPUs from among somebody's videos.

    By default it looks for `./cuda_sdk_lib/bin/ptxas` first, and runs it.
    """
    flags, name = os.environ.get("XLA_FLAGS", ""), "--xla_gpu_cuda_data_dir"
    if name not in flags:
        # Not there either, so it looks at the usual places next.
        place = os.path.dirname(os.path.abspath(__file__))
        os.environ["XLA_FLAGS"] = f"{flags} {name}={place}".strip()


def import_tensorflow() -> None:
    """Imports TensorFlow without what its libraries print at every start.

    A command calls it after it has checked what can be checked without. The messages on
    oneDNN and CUDA are printed before any log level applies, so they are filtered here;
    all else that is printed during the import, and its error if it fails, is shown.

    Raises:
        WlaslError: If the installed Keras could run code of a crafted model file.
    """
    check_keras_version()
    # Level 3 hides that cuInit failed, which is expected on a machine with no GPU.
    has_gpu = any(Path("/dev").glob("nvidia*"))
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2" if has_gpu else "3")
    if has_gpu:
        ignore_cuda_sdk_lib()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as printed:
        os.dup2(printed.fileno(), 2)
        try:
            import tensorflow  # noqa: F401
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            printed.seek(0)
            for line in printed:
                if not line.startswith(_START_MESSAGES):
                    os.write(2, line)
