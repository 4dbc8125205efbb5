"""The programs that decode, started with their settings and limits."""

import dataclasses
import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from wlasl_tfrecord.decoder_pool.jobs import VideoLimits
from wlasl_tfrecord.shard_format.shard_options import ShardOptions
from wlasl_tfrecord.video.ffmpeg_log import LOG_LEVEL

__all__ = ["start_process", "start_program"]


def start_program(
    options: ShardOptions, limits: VideoLimits, memory_fd: int, buffer_bytes: int
) -> tuple[subprocess.Popen[bytes], io.FileIO]:
    """Starts a worker's process, and does not wait for it.

    Args:
        options: How the clips are made and stored.
        limits: What one video may cost.
        memory_fd: The file of its buffers, which it shares.
        buffer_bytes: The size of one of them.

    Returns:
        The process, which takes jobs on its standard input, and the pipe of its
        answers: reading it returns None while there is none.

    Raises:
        OSError: If the system starts no process.
    """
    settings = {
        "options": dataclasses.asdict(options),
        "memory_bytes": limits.memory_mib * 2**20,
        "memory_fd": memory_fd,
        "buffer_bytes": buffer_bytes,
    }
    return start_process("worker_main", settings, [memory_fd])


def start_process(
    module: str, settings: Mapping[str, Any], inherited_fds: Sequence[int] = ()
) -> tuple[subprocess.Popen[bytes], io.FileIO]:
    """Starts a process that decodes, and does not wait for it.

    Args:
        module: The module of this room whose `main` it runs.
        settings: What that takes as JSON; the pipe for its results and the number of
            this process are added.
        inherited_fds: Files that it shares.

    Returns:
        The process, which may be written to, and the pipe of its results: reading it
        returns None while there is none.

    Raises:
        OSError: If the system starts no process.
    """
    results_fd, child_results_fd = os.pipe()
    os.set_blocking(results_fd, False)
    results = io.FileIO(results_fd, "rb")
    settings = {**settings, "results_fd": child_results_fd, "parent": os.getpid()}
    program = (
        f"import sys; sys.path[:] = {sys.path!r}; "
        f"from wlasl_tfrecord.decoder_pool.{module} import main; "
        "sys.exit(main(sys.argv[1:]))"
    )
    environment = {
        # What a shell sets for OpenCV would change frames, or print what is taken for a
        # remark on the video: the same video gives the same bytes in every shell.
        **{k: v for k, v in os.environ.items() if not k.startswith("OPENCV_")},
        # Otherwise each process starts a thread a core for matrices that it never has.
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "OPENCV_FFMPEG_LOGLEVEL": LOG_LEVEL,
        # Frames of some megabytes come and go; returning them to the kernel each time
        # costs more than the resizing.
        "MALLOC_MMAP_THRESHOLD_": str(2**26),
        "MALLOC_TRIM_THRESHOLD_": str(2**26),
        "MALLOC_TOP_PAD_": str(2**20),
    }
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", program, json.dumps(settings)],
            stdin=subprocess.PIPE,
            pass_fds=(*inherited_fds, child_results_fd),
            env=environment,
            bufsize=0,
            # Ctrl-C goes to a whole group of processes; only the parent handles it.
            start_new_session=True,
        )
    except OSError:
        results.close()
        raise
    finally:
        os.close(child_results_fd)
    return process, results
