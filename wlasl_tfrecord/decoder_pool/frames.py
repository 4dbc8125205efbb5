"""Frames from the pool: clips as arrays, for programs that write no shards."""

import os
from collections.abc import Iterator, Sequence

from wlasl_tfrecord.annotations.manifest import Instance
from wlasl_tfrecord.decoder_pool.decoded_frames import DecodedFrames, decoded_frames
from wlasl_tfrecord.decoder_pool.jobs import Task, Undecoded, VideoLimits
from wlasl_tfrecord.decoder_pool.pool import decode_in_order
from wlasl_tfrecord.files import num_cores
from wlasl_tfrecord.shard_format.clips import ClipSpec, Framing
from wlasl_tfrecord.shard_format.codecs import PLAIN_CODEC
from wlasl_tfrecord.shard_format.shard_options import ShardOptions

__all__ = ["decode_clips"]


def decode_clips(
    paths: Sequence[str | os.PathLike[str]],
    *,
    clip: ClipSpec,
    framing: Framing,
    start: int | None = None,
    stop: int | None = None,
    limits: VideoLimits | None = None,
    landmark_models: str | None = None,
) -> Iterator[DecodedFrames | Undecoded]:
    """Decodes videos in processes with limits, in order.

    Args:
        paths: Video files, or folders of numbered images.
        clip: The shape of the clips.
        framing: How frames are made to fit.
        start: First frame of the sign in each video, from 0; None for the first frame.
        stop: One past its last frame; None for the end of the video.
        limits: What one video may cost; by default what `bin/shard` allows.
        landmark_models: Folder with the networks that find landmarks; None for none.

    Yields:
        One clip per path, or why there is none.

    Raises:
        WlaslError: If no process can be started.
    """
    tasks = [
        Task(instance=_instance(number, path, start, stop), sha256="")
        for number, path in enumerate(paths)
    ]
    options = ShardOptions(
        clip=clip, framing=framing, codec=PLAIN_CODEC, landmark_models=landmark_models
    )
    results = decode_in_order(
        tasks,
        options=options,
        limits=limits or VideoLimits(),
        num_workers=max(1, min(num_cores(), len(tasks))),
    )
    for _, result in results:
        if isinstance(result, Undecoded):
            yield result
        else:
            yield decoded_frames(result.record, result.facts, options)


def _instance(
    number: int, path: str | os.PathLike[str], start: int | None, stop: int | None
) -> Instance:
    """Returns an instance of a video of which only the path is known."""
    return Instance(
        video_id=str(number),
        gloss="",
        label=0,
        split="test",
        path=os.fspath(path),
        start=start,
        stop=stop,
        # The user counts the frames of this very file.
        annotation_fps=None,
    )
