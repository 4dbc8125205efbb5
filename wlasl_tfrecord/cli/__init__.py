"""The commands. Each module has a thin `main(argv)`, which returns the exit code."""

import argparse
import io
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path


def _stop(*_: object) -> None:
    """Ends a command that has only begun to import: there is nothing to tidy up."""
    try:
        os.write(2, f"\n{Path(sys.argv[0]).name}: stopped\n".encode())
    finally:
        os._exit(130)


# In the imports to come, Ctrl-C would be a traceback, or be lost. This is for commands
# that are installed: in a checkout bin/_environment.py has done it before.
if Path(sys.argv[0]).name.startswith("wlasl-"):
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _stop)
    # `_keep_freed_memory` has left it to us.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})

from absl import logging  # noqa: E402
from absl.flags import argparse_flags  # noqa: E402

from wlasl_tfrecord.errors import WlaslError  # noqa: E402

__all__ = ["import_tensorflow", "make_parser", "mute", "run"]


def make_parser(command: str, description: str) -> argparse.ArgumentParser:
    """Makes the parser of a command, with absl's own flags (`--verbosity` …) included.

    Args:
        command: The name under `bin/`, for example "shard".
        description: What the command does; the first thing that `--help` prints.
    """
    return argparse_flags.ArgumentParser(
        prog=_program(command),
        description=description,
        formatter_class=_Formatter,
        allow_abbrev=False,
    )


def run(
    command: str,
    parser: argparse.ArgumentParser,
    body: Callable[[argparse.Namespace], int],
    argv: Sequence[str] | None = None,
) -> int:
    """Parses the arguments, runs the body, and turns an error into one line.

    Args:
        command: The name under `bin/`.
        parser: What `make_parser` gave, with the command's own options added.
        body: Does the work; may import TensorFlow, which parsing must not wait for.
        argv: The arguments without the program's name; by default those of the process.

    Returns:
        The exit code: what `body` returned, 1 for an error of the data, 2 for one of
        the arguments, 130 after Ctrl-C, 141 when nobody reads the output any more.
    """
    if argv is None:
        _open_closed_streams()
    logging.use_absl_handler()
    arguments = parser.parse_args(sys.argv[1:] if argv is None else list(argv))
    if argv is None:
        _keep_freed_memory()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A path, or a word, that the terminal's encoding lacks is no reason to stop.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        if argv is None:
            # From here on there is work to tidy up.
            _on_ctrl_c(signal.default_int_handler)
        _check_current_folder()
        return body(arguments)
    except WlaslError as error:
        print(f"{_program(command)}: {error}", file=sys.stderr)
        return 1
    except ValueError as error:
        # One of ours is about an argument; another is a defect and keeps its traceback.
        if not _is_ours(error):
            raise
        print(f"{_program(command)}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\n{_program(command)}: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        mute()
        return 141
    finally:
        if argv is None:
            # And now no more: a second Ctrl-C ends what Python does at its end.
            _on_ctrl_c(signal.SIG_DFL)


def mute() -> None:
    """Prints nothing any more: what cannot be written would come up again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def import_tensorflow() -> None:
    """Imports TensorFlow without what its libraries print at every start.

    A command calls it after it has checked what can be checked without. The remarks on
    oneDNN and CUDA come before any log level is heard; whatever else is printed during
    the import, and the error if it fails, gets through.
    """
    # Level 3 leaves out that cuInit failed, which is no news on a machine with no GPU.
    has_gpu = any(Path("/dev").glob("nvidia*"))
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2" if has_gpu else "3")
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
                if not line.startswith(_START_REMARKS):
                    os.write(2, line)


_START_REMARKS = (b"I0000 ", b"WARNING: All log messages before absl::InitializeLog()")


class _Formatter(argparse.ArgumentDefaultsHelpFormatter):
    """Shows the defaults that are values; "(default: None)" helps nobody."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        says_nothing = action.default in (None, "", []) or action.default is False
        if says_nothing or "default" in (action.help or ""):
            return action.help
        return super()._get_help_string(action)


def _is_ours(error: ValueError) -> bool:
    """Says whether the library itself raised an error, not something it called."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    raised_in = Path(traceback.tb_frame.f_code.co_filename) if traceback else Path()
    return Path(__file__).resolve().parents[1] in raised_in.parents


# glibc gives buffers of megabytes back to the kernel as soon as they are free, and
# every clip then pays for fresh, zeroed pages: the raw pipeline ran at 544 clips/s with
# glibc's defaults and at 805 with these. Whoever sets one of them is left alone.
_MALLOC = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(4 << 30),
    "MALLOC_TOP_PAD_": str(64 << 20),
}


def _keep_freed_memory() -> None:
    """Starts the process anew with `_MALLOC`, which glibc reads only at its start."""
    if sys.platform == "linux" and not _MALLOC.keys() & os.environ.keys():
        os.environ.update(_MALLOC)
        # While Python starts, Ctrl-C waits.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _open_closed_streams() -> None:
    """Opens what the caller closed of stdin, stdout and stderr (`2>&-`) on nothing.

    Else the next file that is opened has its number, and what is printed is in it.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free is this one. Decoders shall have it too.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w" if number else "r"))  # noqa: SIM115


def _on_ctrl_c(handler: Callable[..., object] | signal.Handlers) -> None:
    """Sets what Ctrl-C does, where this process is not deaf to it."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, handler)
    # `_keep_freed_memory` has left one to us that came meanwhile.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _check_current_folder() -> None:
    """Says at once what every relative path would stumble over, somewhere."""
    try:
        os.getcwd()
    except FileNotFoundError as error:
        raise WlaslError("the current folder is gone; cd to one that exists") from error


def _program(command: str) -> str:
    """Names the command as its user typed it: `bin/shard` or `wlasl-shard`."""
    in_checkout = Path(sys.argv[0]).resolve().parent.name == "bin" and (
        Path(sys.argv[0]).name == command
    )
    return f"bin/{command}" if in_checkout else f"wlasl-{command}"
