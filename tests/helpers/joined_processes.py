"""Processes of `bin/shard --join`, some of which die or stand still."""

import subprocess
import sys

from checkout import CHECKOUT
from sharding import command


def stands_still_once(function):
    """Returns a patch: the process stops itself before it first calls a function."""
    # By a signal to the thread itself: one to the process stops another thread first,
    # and the call goes on for a moment.
    return (
        "import threading, signal\n"
        f"function, once = {function}, [signal.SIGSTOP]\n"
        "def call_late(*arguments):\n"
        "    if once:\n"
        "        signal.pthread_kill(threading.get_ident(), once.pop())\n"
        "    function(*arguments)\n"
        f"{function} = call_late\n"
    )


def start_joined(src, out, *more, patch="", lasts):
    """Starts a process that joins.

    Args:
        src: Folder of videos.
        out: The folder of shards.
        *more: Further arguments.
        patch: What it does before the command runs.
        lasts: How many seconds claims last for it.
    """
    words = [str(word) for word in command(src, out, "--join", *more)[3:]]
    program = (
        "import os, sys\n"
        "from wlasl_tfrecord.sharding import claims, plan_writer, shared_folder\n"
        "from wlasl_tfrecord.sharding import sharder\n"
        "from wlasl_tfrecord.storage.object_store import ObjectStore\n"
        "from wlasl_tfrecord.cli.shard import main\n"
        f"claims.LASTS_SECONDS = {lasts}\n"
        "shared_folder._LOOK_SECONDS = shared_folder.StoreFolder.poll_seconds = 0.2\n"
        f"{patch}\n"
        f"sys.exit(main({words!r}))\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process):
    """Waits for a process, and returns what it printed."""
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return output
