"""Finds, or makes, a Python environment that has what the commands need.

Only the standard library, and the library's `ctrl_c`, which needs no more: this runs
before anything is installed.
"""
# ruff: noqa: E402

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
from wlasl_tfrecord.cli import ctrl_c

# Ctrl-C is handled before the other imports, which take much longer than these.
_stop = ctrl_c.stop_at_once(f"bin/{os.path.basename(sys.argv[0])}")

import configparser
import fcntl
import importlib.metadata
import re
import shutil
import signal
import subprocess
from pathlib import Path

__all__ = ["CHECKOUT", "enter", "extras_of_urls"]

CHECKOUT = Path(sys.path[0])
VENV = CHECKOUT / ".venv"
# What .venv was last completed with; without it, an interrupted set-up starts again.
STAMP = VENV / "installed-requirements.txt"
# A condition on a version, and a requirement of setup.cfg: name, extra, conditions.
_CONDITION = r"(>=|<|==|!=)\s*(\d+(?:\.\d+)*(?:\.\*)?)"
_REQUIREMENT = rf"([\w.-]+)(\[[\w,-]+\])?\s*((?:{_CONDITION}(?:,\s*)?)*)"
# What may follow: the Python from which on it counts.
_FROM_PYTHON = r'\s*;\s*python_version >= "3\.(\d+)"'
# An argument, or the value of an option, at an object store.
_OBJECT_URL = r"(--[\w-]+=)?(s3|gs|az|https?)://"
PYTHONS = ("python3.12", "python3.11", "python3.13", "python3.10")


def enter(*extras: str) -> None:
    """Continues in an environment that has the dependencies.

    The active environment is used as it is if it has them all. Otherwise `.venv` in the
    checkout is, which the first command sets up; the process is replaced by the same
    command there.

    Args:
        extras: Groups of `options.extras_require` in setup.cfg that are needed as well.
    """
    wanted = _requirements(*extras)
    python = VENV / "bin" / "python"
    inside = Path(sys.prefix).resolve() == VENV.resolve()
    # What was installed there is not checked a second time: the names of the CUDA
    # libraries, for example, change with TensorFlow's release.
    settled = inside and _stamped(wanted)
    missing = [] if settled else [line for line in wanted if not _is_met(line)]
    if missing:
        if not _stamped(wanted):
            if sys.prefix != sys.base_prefix and not inside:
                names = ", ".join(missing)
                _say(f"the active environment {sys.prefix} does not have {names}")
            _set_up(wanted)
        ctrl_c.hold_back()
        os.execv(python, [str(python), *sys.argv])


def extras_of_urls() -> tuple[str, ...]:
    """Returns the group that URLs need, if an argument is one."""
    is_needed = any(re.match(_OBJECT_URL, one) for one in sys.argv[1:])
    return ("remote",) if is_needed else ()


def _requirements(*extras: str) -> list[str]:
    """Reads the requirements in setup.cfg."""
    config = configparser.ConfigParser()
    config.read(CHECKOUT / "setup.cfg")
    text = config["options"]["install_requires"]
    # A machine with an NVIDIA driver needs the CUDA libraries as well.
    gpu = ("gpu",) if shutil.which("nvidia-smi") else ()
    for extra in (*gpu, *extras):
        text += "\n" + config["options.extras_require"][extra]
    lines = [line.strip() for line in text.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def _is_met(requirement: str) -> bool:
    """Returns whether the environment has `name[extra] >= 1.0, != 1.1.*`."""
    since = re.search(_FROM_PYTHON + "$", requirement)
    if since is not None and sys.version_info < (3, int(since[1])):
        return True
    match = re.fullmatch(_REQUIREMENT, re.sub(_FROM_PYTHON + "$", "", requirement))
    if match is None:
        sys.exit(f"setup.cfg: cannot read the requirement {requirement!r}")
    name, extra, wanted = match[1], match[2], match[3]
    names = [name]
    if name == "opencv-python-headless":
        # Any of these will do; a machine with a screen often has the one with windows.
        names += ["opencv-python", "opencv-contrib-python-headless"]
    elif extra == "[and-cuda]":
        names, wanted = ["nvidia-cudnn-cu12", "nvidia-cudnn-cu13"], ""
    for candidate in names:
        try:
            version = importlib.metadata.version(candidate)
        except importlib.metadata.PackageNotFoundError:
            continue
        conditions = re.findall(_CONDITION, wanted)
        return all(_holds(version, sign, number) for sign, number in conditions)
    return False


def _holds(version: str, sign: str, wanted: str) -> bool:
    """Returns whether a version meets one condition, `>= 1.0` or `!= 1.1.*`."""
    found, numbers = _numbers(version), _numbers(wanted)
    if wanted.endswith(".*"):
        found = found[: len(numbers)]
    return {
        ">=": found >= numbers,
        "<": found < numbers,
        "==": found == numbers,
        "!=": found != numbers,
    }[sign]


def _numbers(version: str) -> list[int]:
    numbers = [int(number) for number in re.findall(r"\d+", version)[:3]]
    return numbers if version.endswith(".*") else [*numbers, 0, 0][:3]


def _stamped(wanted: list[str]) -> bool:
    """Returns whether .venv was completed with everything that is wanted."""
    return STAMP.is_file() and set(wanted) <= set(STAMP.read_text().splitlines())


def _set_up(wanted: list[str]) -> None:
    """Makes or completes .venv; other commands wait until it is done."""
    command = Path(sys.argv[0]).name
    with (CHECKOUT / ".venv.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _stamped(wanted):  # another command did it while this one waited
            return
        _say(
            f"setting up {VENV} once (TensorFlow and what goes with it, about 2 GB; a "
            "few minutes) ..."
        )
        done = set(STAMP.read_text().splitlines()) if STAMP.is_file() else set()
        STAMP.unlink(missing_ok=True)
        python = VENV / "bin" / "python"
        # As an exception Ctrl-C ends the programs that are started here, too.
        ctrl_c.set_handler(signal.default_int_handler)
        try:
            if not python.exists():
                _run_isolated(_python(), "venv", "--clear", str(VENV))
            quiet = ["--quiet", "--disable-pip-version-check", "--no-input"]
            _run_isolated(str(python), "pip", "install", *quiet, *wanted)
        except subprocess.CalledProcessError as error:
            sys.exit(
                f"bin/{command}: the set-up failed at `{' '.join(error.cmd[2:5])}`; "
                "see above. It needs Python 3.10 to 3.13 with the venv module "
                "(Debian: apt install python3-venv) and access to a package index. "
                "Run the command again to continue"
            )
        except KeyboardInterrupt:
            _stop()
        STAMP.write_text("".join(f"{line}\n" for line in sorted({*done, *wanted})))
        _say(f"{VENV} is ready")


def _run_isolated(python: str, module: str, *arguments: str) -> None:
    """Runs a module of Python with nothing of the current folder on its path.

    A `pip.py` among somebody's videos is not the one that is meant.
    """
    command = [python, "-I", "-m", module, *arguments]
    subprocess.run(command, check=True, cwd=CHECKOUT)


def _say(line: str) -> None:
    print(f"bin/{Path(sys.argv[0]).name}: {line}", file=sys.stderr, flush=True)


def _python() -> str:
    """Finds a Python that TensorFlow has wheels for, this one first."""
    if (3, 10) <= sys.version_info[:2] <= (3, 13):
        return sys.executable
    for name in PYTHONS:
        found = shutil.which(name)
        if found:
            return found
    sys.exit(
        f"bin/{Path(sys.argv[0]).name}: Python {sys.version.split()[0]} has no "
        "TensorFlow; install Python 3.10 to 3.13"
    )
