"""A decoder for videos that arrive one at a time: a path in, frames out."""

import os
from multiprocessing import connection

from wlasl_tfrecord.annotations.manifest import Instance
from wlasl_tfrecord.decoder_pool import worker
from wlasl_tfrecord.decoder_pool.decoded_frames import DecodedFrames, decoded_frames
from wlasl_tfrecord.decoder_pool.jobs import Job, Task, Undecoded, VideoLimits
from wlasl_tfrecord.shard_format.clips import ClipSpec, Framing
from wlasl_tfrecord.shard_format.codecs import PLAIN_CODEC
from wlasl_tfrecord.shard_format.shard_options import ShardOptions

__all__ = ["OnDemandDecoder"]


class OnDemandDecoder:
    """One process that decodes a whole video when it is asked to.

    A video that crashes, hangs or exhausts the process costs an answer of
    `Undecoded`; the next video gets a new process. One thread at a time may use it.

    Args:
        clip: The shape of the clips.
        framing: How frames are made to fit.
        limits: What one video may cost.
        landmark_models: Folder with the networks that find landmarks; None for none.

    Raises:
        WlaslError: If the system starts no process.
    """

    def __init__(
        self,
        clip: ClipSpec,
        framing: Framing,
        limits: VideoLimits,
        landmark_models: str | None = None,
    ) -> None:
        self._options = ShardOptions(
            clip=clip,
            framing=framing,
            codec=PLAIN_CODEC,
            landmark_models=landmark_models,
        )
        self._limits = limits
        self._worker = worker.start(self._options, limits, num_buffers=1)

    def decode(
        self, path: str | os.PathLike[str], sha256: str
    ) -> DecodedFrames | Undecoded:
        """Decodes a video from its first frame to its last.

        Args:
            path: The video.
            sha256: The digest of its content, in hex. A file with another one is
                refused as changed.

        Raises:
            WlaslError: If no process can be started; close this decoder then.
        """
        # Only the path matters: no record is kept.
        instance = Instance(
            video_id="video", gloss="", label=0, split="test", path=os.fspath(path)
        )
        job = Job(number=0, task=Task(instance=instance, sha256=sha256))
        worker.send(self._worker, job)
        finished = []
        while not finished:
            # A second is soon enough to see that it is out of time.
            connection.wait([self._worker.results.fileno()], timeout=1.0)
            finished = worker.receive(self._worker, self._options, self._limits)
        [(job, answer)] = finished
        try:
            if isinstance(answer, Undecoded):
                return answer
            start = job.buffer * self._worker.buffer_bytes
            with memoryview(self._worker.memory) as memory:
                record = memory[start + answer.start : start + answer.stop]
                return decoded_frames(record, answer.facts, self._options)
        finally:
            worker.release(self._worker, job)

    def close(self) -> None:
        """Ends the process."""
        worker.stop(self._worker)
