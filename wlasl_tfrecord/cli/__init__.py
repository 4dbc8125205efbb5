"""The commands. Each module has a thin `main(argv)`, which returns the exit code."""

import argparse
import io
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from absl import logging
from absl.flags import argparse_flags

from wlasl_tfrecord.errors import WlaslError

__all__ = ["import_tensorflow", "make_parser", "run"]


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
    logging.use_absl_handler()
    arguments = parser.parse_args(sys.argv[1:] if argv is None else list(argv))
    if argv is None:
        _keep_freed_memory()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A path, or a word, that the terminal's encoding lacks is no reason to stop.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
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
        # Python would complain once more when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


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
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _program(command: str) -> str:
    """Names the command as its user typed it: `bin/shard` or `wlasl-shard`."""
    in_checkout = Path(sys.argv[0]).resolve().parent.name == "bin" and (
        Path(sys.argv[0]).name == command
    )
    return f"bin/{command}" if in_checkout else f"wlasl-{command}"
