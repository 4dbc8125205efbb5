"""A decoder process: takes videos one by one, and gives back records.

It is started as a program of its own, not by `multiprocessing`: a child of that would
import its parent's main module again, and TensorFlow with it, 0.5 GB in every process.
It lives as long as its parent, and whatever a video does to it, the parent does not
share: it may be killed at any time.
"""

import ctypes
import json
import mmap
import os
import resource
import signal
import sys
from typing import Any, BinaryIO

import cv2

from wlasl_tfrecord.decoder_pool.shared_memory import frames_in, put_record
from wlasl_tfrecord.errors import VideoError
from wlasl_tfrecord.shard_format.clip_proto import ClipInfo, clip_pieces
from wlasl_tfrecord.shard_format.clips import ClipSpec
from wlasl_tfrecord.shard_format.encode_frames import encode_frames
from wlasl_tfrecord.video.content_hash import sha256_of
from wlasl_tfrecord.video.decode import decode_clip
from wlasl_tfrecord.video.ffmpeg_log import damage_notes, listen, take_remarks

__all__ = [
    "main",
]


def main(argv: list[str]) -> int:
    """Serves until its input ends.

    Args:
        argv: Its settings as JSON; see `launch.start_program`.
    """
    settings = json.loads(argv[0])
    _stay_small(settings["memory_bytes"])
    _die_with(settings["parent"])
    clip = ClipSpec(**settings["clip"])
    shared = memoryview(mmap.mmap(settings["payload_fd"], 0))
    slot_bytes = settings["slot_bytes"]
    results = os.fdopen(settings["results_fd"], "wb")
    cv2.setNumThreads(1)
    _reply(results, {"ready": True})
    # From here on, what FFmpeg and OpenCV have to say is in the results.
    log = listen()
    for line in sys.stdin.buffer:
        task = json.loads(line.decode("utf-8", "surrogatepass"))
        start = task["slot"] * slot_bytes
        slot = shared[start : start + slot_bytes]
        _reply(results, _answer(task, settings, clip, slot, log))
    return 0


def _answer(
    task: dict[str, Any],
    settings: dict[str, Any],
    clip: ClipSpec,
    slot: memoryview,
    log: int,
) -> dict[str, Any]:
    """Makes the record of one clip in the shared memory, and describes it."""
    codec = settings["codec"]
    # Those on a video that failed are no remarks on the next one.
    take_remarks(log)
    try:
        frames, source = decode_clip(
            task["path"],
            clip=clip,
            framing=settings["framing"],
            start=task["start"],
            stop=task["stop"],
            annotation_fps=task["annotation_fps"],
            out=frames_in(slot, clip),
        )
        stored = frames.reshape(-1).data
        if codec != "raw":
            stored = encode_frames(
                frames, source.frame_indices, codec, settings["jpeg_quality"]
            )
    except VideoError as error:
        return {"error": _change(task) or str(error)}
    except MemoryError:
        return {"error": "out of memory: it needs more than a decoder may take"}
    if source.sha256 != task["sha256"]:
        return {"error": _REPLACED}
    info = ClipInfo(
        video_id=task["video_id"],
        gloss=task["gloss"],
        label=task["label"],
        signer_id=task["signer_id"],
        source=source,
    )
    start, stop, crc = put_record(slot, clip_pieces(info, stored, clip, codec))
    return {
        "start": start,
        "stop": stop,
        "crc": crc,
        "num_distinct_frames": source.num_distinct_frames,
        "range_rule": source.sign.rule,
        "num_video_frames": source.num_video_frames,
        "notes": damage_notes(source, take_remarks(log)),
    }


_REPLACED = "changed: it was replaced during the run"


def _change(task: dict[str, Any]) -> str | None:
    """Says why a video that failed is not the one that was planned; None if it is.

    Its failure is then none of the planned content: where a disk or a network is gone
    for a while, the next run shall not take it for one.
    """
    try:
        is_same = sha256_of(task["path"]) == task["sha256"]
    except (OSError, VideoError) as error:
        reason = getattr(error, "strerror", None) or error
        return f"changed: it could not be read again: {reason}"
    return None if is_same else _REPLACED


def _reply(results: BinaryIO, answer: dict[str, Any]) -> None:
    results.write(json.dumps(answer).encode() + b"\n")
    results.flush()


def _stay_small(memory_bytes: int) -> None:
    """Limits this process's memory, so that a video cannot take the machine's."""
    # Data, where the system counts it (Linux): address space would count every library.
    for limit in ("RLIMIT_DATA", "RLIMIT_AS"):
        if hasattr(resource, limit):
            number = getattr(resource, limit)
            most = resource.getrlimit(number)[1]
            if most != resource.RLIM_INFINITY:
                # Set by an administrator, or by a batch system: nobody may raise it.
                memory_bytes = min(memory_bytes, most)
            resource.setrlimit(number, (memory_bytes, memory_bytes))
            return


def _die_with(parent: int) -> None:
    """Sees to it that this process ends with its parent, however that ends."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
        if os.getppid() != parent:
            raise SystemExit(1)
