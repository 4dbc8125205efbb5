"""Videos that arrive at any time, decoded in processes and recognised in batches."""

import queue
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wlasl_tfrecord.decoder_pool.decoded_frames import DecodedFrames
from wlasl_tfrecord.decoder_pool.jobs import Undecoded
from wlasl_tfrecord.decoder_pool.on_demand import OnDemandDecoder
from wlasl_tfrecord.errors import WlaslError
from wlasl_tfrecord.inference import trained_model
from wlasl_tfrecord.inference.trained_model import TrainedModel
from wlasl_tfrecord.serving.options import ServeOptions

__all__ = ["NoClipError", "Recogniser", "Recognition"]


class NoClipError(WlaslError):
    """A video does not become a clip, or exceeds a limit of the server."""


@dataclass(frozen=True, kw_only=True)
class Recognition:
    """What a model sees in one video.

    Attributes:
        probabilities: float32 [num_classes].
        decoded: The frames that it saw.
        decode_seconds: Time in a decoder process.
        network_seconds: Time in the network, together with the rest of its batch.
        batch_size: How many videos were in that batch.
    """

    probabilities: NDArray[np.float32]
    decoded: DecodedFrames
    decode_seconds: float
    network_seconds: float
    batch_size: int


@dataclass(kw_only=True)
class _Request:
    """A video on its way; `future` gets its recognition."""

    path: Path
    sha256: str
    future: Future[Recognition]
    decoded: DecodedFrames | None = None
    decode_seconds: float = 0.0


class Recogniser:
    """Threads that recognise videos: one for each decoder process, one for the network.

    While the network computes, further clips wait, and go through it together next.

    Args:
        model: What `load_model` returned.
        options: Limits, and numbers of processes and clips.

    Raises:
        WlaslError: If no decoder process can be started.
    """

    def __init__(self, model: TrainedModel, options: ServeOptions) -> None:
        self._model = model
        self._options = options
        # None tells a thread to end.
        self._videos: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
        self._clips: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
        # So that no request waits until the network is compiled.
        model.warm_up()
        decoders: list[OnDemandDecoder] = []
        try:
            decoders.extend(self._new_decoder() for _ in range(options.workers))
        except BaseException:
            for decoder in decoders:
                decoder.close()
            raise
        self._network = threading.Thread(target=self._run_network, daemon=True)
        self._decoders = [
            threading.Thread(target=self._run_decoder, args=(decoder,), daemon=True)
            for decoder in decoders
        ]
        for thread in (self._network, *self._decoders):
            thread.start()

    def recognise(self, path: Path, sha256: str) -> Future[Recognition]:
        """Starts to recognise a video.

        Args:
            path: The video; it must stay until the result is there.
            sha256: The digest of its content, in hex.

        Returns:
            The result to come. It is a NoClipError if the video does not become a
            clip, and another WlaslError if no decoder process can be started.
        """
        future: Future[Recognition] = Future()
        self._videos.put(_Request(path=path, sha256=sha256, future=future))
        return future

    def close(self) -> None:
        """Ends threads and processes after the videos that they are at."""
        for _ in self._decoders:
            self._videos.put(None)
        for thread in self._decoders:
            thread.join()
        self._clips.put(None)
        self._network.join()

    def _new_decoder(self) -> OnDemandDecoder:
        info = self._model.info
        return OnDemandDecoder(
            info.clip,
            info.framing,
            self._options.decoder_limits,
            self._model.landmark_networks,
        )

    def _run_decoder(self, decoder: OnDemandDecoder | None) -> None:
        """Decodes one video after another."""
        while (request := self._videos.get()) is not None:
            # Nobody waits for it any more, or nobody can stop waiting now.
            if not request.future.set_running_or_notify_cancel():
                continue
            started = time.perf_counter()
            try:
                if decoder is None:
                    decoder = self._new_decoder()
                answer = decoder.decode(request.path, request.sha256)
                request.decoded = self._checked(answer)
            except NoClipError as error:
                request.future.set_exception(error)
                continue
            except Exception as error:
                # A decoder that does not start again is no reason to stop serving.
                if decoder is not None:
                    decoder.close()
                decoder = None
                request.future.set_exception(error)
                continue
            request.decode_seconds = time.perf_counter() - started
            self._clips.put(request)
        if decoder is not None:
            decoder.close()

    def _checked(self, answer: DecodedFrames | Undecoded) -> DecodedFrames:
        """Returns the frames of a video.

        Raises:
            NoClipError: If there are none, or the video has too many.
        """
        if isinstance(answer, Undecoded):
            raise NoClipError(answer.reason)
        most = self._options.max_frames
        if answer.num_video_frames > most:
            raise NoClipError(
                f"too long: it has {answer.num_video_frames:,} frames, the limit is "
                f"{most:,}; cut it to the sign"
            )
        return answer

    def _run_network(self) -> None:
        """Runs the network on all clips that are waiting, up to a batch."""
        while (request := self._clips.get()) is not None:
            batch = [request]
            while len(batch) < self._options.batch_size and not self._clips.empty():
                request = self._clips.get()
                if request is None:
                    self._clips.put(None)
                    break
                batch.append(request)
            self._recognise_batch(batch)

    def _recognise_batch(self, batch: list[_Request]) -> None:
        decoded = [request.decoded for request in batch if request.decoded is not None]
        started = time.perf_counter()
        try:
            rows = trained_model.recognise(self._model, decoded)
        except Exception as error:
            for request in batch:
                request.future.set_exception(error)
            return
        seconds = time.perf_counter() - started
        for request, clip, row in zip(batch, decoded, rows):
            request.future.set_result(
                Recognition(
                    probabilities=row,
                    decoded=clip,
                    decode_seconds=request.decode_seconds,
                    network_seconds=seconds,
                    batch_size=len(batch),
                )
            )
