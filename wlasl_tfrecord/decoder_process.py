"""A decoder process: takes videos one by one, and gives back clips.

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
import numpy as np
from numpy.typing import NDArray

from wlasl_tfrecord.clips import ClipSpec
from wlasl_tfrecord.decode import decode_clip
from wlasl_tfrecord.errors import VideoError

__all__ = ["main"]


def main(argv: list[str]) -> int:
    """Serves until its input ends.

    Args:
        argv: Its settings as JSON; see `decoder_handle.start`.
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
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    for line in sys.stdin.buffer:
        task = json.loads(line)
        start = task["slot"] * slot_bytes
        payload = shared[start : start + slot_bytes]
        _reply(results, _answer(task, settings, clip, payload))
    return 0


def _answer(
    task: dict[str, Any], settings: dict[str, Any], clip: ClipSpec, payload: memoryview
) -> dict[str, Any]:
    """Decodes one clip into the shared memory, and describes it."""
    codec = settings["codec"]
    try:
        out = np.frombuffer(payload, np.uint8, count=clip.num_bytes).reshape(clip.shape)
        frames, source = decode_clip(
            task["path"],
            clip=clip,
            framing=settings["framing"],
            start=task["start"],
            stop=task["stop"],
            annotation_fps=task["annotation_fps"],
            # Encoded images may come to lie where the frames are, so these go aside.
            out=out if codec == "raw" else None,
        )
        sizes = [clip.num_bytes]
        if codec != "raw":
            sizes = _encode(frames, codec, settings["jpeg_quality"], payload)
    except VideoError as error:
        return {"error": str(error)}
    except MemoryError:
        return {"error": "out of memory: it needs more than a decoder may take"}
    return {
        "sizes": sizes,
        "source": {
            "video_fps": source.video_fps,
            "num_video_frames": source.num_video_frames,
            "sign": list(source.sign),
            "frame_indices": list(source.frame_indices),
            "sha256": source.sha256,
        },
    }


def _encode(
    frames: NDArray[np.uint8], codec: str, jpeg_quality: int, payload: memoryview
) -> list[int]:
    """Encodes every frame into the shared memory, one behind the other.

    Args:
        frames: uint8 [T, H, W, 3], RGB.
        codec: "jpeg" or "png".
        jpeg_quality: From 1 to 100.
        payload: Receives the images.

    Returns:
        T sizes in bytes.
    """
    if codec == "jpeg":
        # The videos themselves hold colour at half their resolution. At quality 95 this
        # is 0.33 MB a clip, and never below 40 dB on the real ones; with all of the
        # colour 0.42 MB.
        suffix, settings = ".jpg", [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality]
        settings += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, _JPEG_420]
    else:
        # A third of the time of level 6 for a seventh more bytes.
        suffix, settings = ".png", [cv2.IMWRITE_PNG_COMPRESSION, 1]
    sizes: list[int] = []
    end = 0
    previous: bytes | None = None
    for number, frame in enumerate(frames):
        # A short video repeats frames.
        if previous is None or not np.array_equal(frame, frames[number - 1]):
            image = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
            encoded, buffer = cv2.imencode(suffix, image, settings)
            if not encoded:
                raise VideoError(f"unreadable: frame {number} cannot be encoded")
            previous = buffer.tobytes()
        if end + len(previous) > len(payload):
            raise VideoError("unreadable: its frames grow when they are encoded")
        payload[end : end + len(previous)] = previous
        sizes.append(len(previous))
        end += len(previous)
    return sizes


_JPEG_420 = int(cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420)


def _reply(results: BinaryIO, answer: dict[str, Any]) -> None:
    results.write(json.dumps(answer).encode() + b"\n")
    results.flush()


def _stay_small(memory_bytes: int) -> None:
    """Limits this process's memory, so that a video cannot take the machine's."""
    # Data, where the system counts it (Linux): address space would count every library.
    for limit in ("RLIMIT_DATA", "RLIMIT_AS"):
        if hasattr(resource, limit):
            resource.setrlimit(getattr(resource, limit), (memory_bytes, memory_bytes))
            return


def _die_with(parent: int) -> None:
    """Sees to it that this process ends with its parent, however that ends."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
        if os.getppid() != parent:
            raise SystemExit(1)
