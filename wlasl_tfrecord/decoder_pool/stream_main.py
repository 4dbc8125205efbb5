"""A process that decodes one long video, and writes its frames into a pipe.

The pipe holds a few frames, so that the process waits for its parent, which then needs
no more memory for an hour than for a minute. Like a worker it may be killed at any
time: nothing that a video does to it reaches the parent.
"""

import json
import os
import struct
from typing import Any

import cv2

from wlasl_tfrecord.decoder_pool.worker_main import end_with_parent, limit_memory
from wlasl_tfrecord.errors import VideoError
from wlasl_tfrecord.shard_format.clips import ClipSpec
from wlasl_tfrecord.video.ffmpeg_log import check_remarks, listen, take_remarks
from wlasl_tfrecord.video.long_video import GridFrame, sample_video

__all__ = ["ALIVE", "END", "FAILURE", "FRAME", "HEADER", "main"]

# Before each message: what it is, seconds and places of a frame, bytes that follow. At
# the end the seconds are those of the whole video.
HEADER = struct.Struct("=BdII")
FRAME, ALIVE, END, FAILURE = range(4)


def main(argv: list[str]) -> int:
    """Decodes a video.

    Args:
        argv: Its settings as JSON; see `stream.stream_frames`.
    """
    settings = json.loads(argv[0])
    limit_memory(settings["memory_bytes"])
    end_with_parent(settings["parent"])
    results = os.fdopen(settings["results_fd"], "wb")
    cv2.setNumThreads(1)

    def send(
        kind: int, content: Any = b"", seconds: float = 0.0, places: int = 0
    ) -> None:
        results.write(HEADER.pack(kind, seconds, places, len(content)))
        results.write(content)
        results.flush()

    send(ALIVE)
    log = listen()

    def keep(found: GridFrame) -> None:
        # Otherwise what FFmpeg did not convert would be recognised.
        check_remarks(take_remarks(log))
        send(FRAME, found.frame.reshape(-1).data, found.seconds, found.num_places)

    clip = ClipSpec(**settings["clip"])
    try:
        seconds = sample_video(
            os.fsdecode(bytes.fromhex(settings["path"])),
            keep,
            clip=clip,
            framing=settings["framing"],
            window_seconds=settings["window_seconds"],
            start=settings["start"],
            stop=settings["stop"],
            alive=lambda: send(ALIVE),
        )
        send(END, seconds=seconds)
    except VideoError as error:
        send(FAILURE, json.dumps([error.kind, error.details]).encode())
    except MemoryError:
        reason = ["out of memory", "it needs more than a decoder may take"]
        send(FAILURE, json.dumps(reason).encode())
    return 0
