"""What every command does alike: its parser, its errors, its exit codes."""

import argparse
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from absl import logging
from absl.flags import argparse_flags

from wlasl_tfrecord.cli import ctrl_c, process
from wlasl_tfrecord.errors import WlaslError
from wlasl_tfrecord.figures import ignore_matplotlibrc

__all__ = ["make_parser", "run"]


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
    """Parses the arguments, runs the body, and prints an error as one line.

    Args:
        command: The name under `bin/`.
        parser: What `make_parser` returned, with the command's own options added.
        body: Does the work; imports TensorFlow itself, so that parsing need not wait.
        argv: The arguments without the program's name; by default those of the process.

    Returns:
        The exit code: what `body` returned, 1 for an error of the data, 2 for one of
        the arguments, 130 after Ctrl-C, 141 if the reader of stdout is gone.
    """
    if argv is None:
        process.open_closed_streams()
    logging.use_absl_handler()
    with process.printable_streams():
        arguments = parser.parse_args(sys.argv[1:] if argv is None else list(argv))
        if argv is None:
            process.keep_freed_memory()
        try:
            code = _run(command, body, arguments, is_process=argv is None)
        except Exception:
            if argv is not None:
                raise
            # A defect. Printed here, where what its traceback quotes is made printable.
            traceback.print_exc()
            code = 1
        if argv is None and "tensorflow_io" in sys.modules:
            process.end_at_once(code)
        return code


def _run(
    command: str,
    body: Callable[[argparse.Namespace], int],
    arguments: argparse.Namespace,
    *,
    is_process: bool,
) -> int:
    """Runs the body, and prints an error as one line; see `run`."""
    try:
        if is_process:
            # From here on there is work to tidy up.
            ctrl_c.set_handler(signal.default_int_handler)
        process.check_current_folder()
        ignore_matplotlibrc()
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
        process.mute()
        return 141
    finally:
        if is_process:
            # The work is tidied up: a second Ctrl-C ends Python's own exit at once.
            ctrl_c.set_handler(signal.SIG_DFL)


class _Formatter(argparse.ArgumentDefaultsHelpFormatter):
    """Shows the defaults that are values; "(default: None)" helps nobody."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        has_none = action.default in (None, "", []) or action.default is False
        if has_none or "default" in (action.help or ""):
            return action.help
        return super()._get_help_string(action)


def _program(command: str) -> str:
    """Returns the command as its user typed it: `bin/shard` or `wlasl-shard`."""
    in_checkout = Path(sys.argv[0]).resolve().parent.name == "bin" and (
        Path(sys.argv[0]).name == command
    )
    return f"bin/{command}" if in_checkout else f"wlasl-{command}"


def _is_ours(error: ValueError) -> bool:
    """Returns whether the library itself raised an error, not something it called."""
    frames = traceback.extract_tb(error.__traceback__)
    raised_in = Path(frames[-1].filename) if frames else Path()
    return Path(__file__).resolve().parents[1] in raised_in.parents
