"""The networks that find landmarks, run by LiteRT on one thread."""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wlasl_tfrecord.landmarks.network_files import NETWORK_FILES, read_network

__all__ = ["Network", "Networks"]


class Network:
    """One network: an image in, its outputs out."""

    def __init__(self, content: bytes, *, low: float = 0.0) -> None:
        """Loads the network.

        Args:
            content: The TFLite file.
            low: What black is to the network; white is 1.
        """
        self._interpreter = _interpreter_class()(model_content=content, num_threads=1)
        self._interpreter.allocate_tensors()
        (given,) = self._interpreter.get_input_details()
        self._input = given["index"]
        self._outputs = [o["index"] for o in self._interpreter.get_output_details()]
        self._low = low
        self.side = int(given["shape"][1])

    def __call__(
        self, image: NDArray[np.uint8], *, num_outputs: int
    ) -> list[NDArray[np.float32]]:
        """Runs the network.

        Args:
            image: uint8 [side, side, 3], RGB.
            num_outputs: How many of its outputs are wanted.

        Returns:
            The first outputs, each without its axis of the batch.
        """
        pixels = image[np.newaxis] * np.float32((1 - self._low) / 255)
        pixels += np.float32(self._low)
        self._interpreter.set_tensor(self._input, pixels)
        self._interpreter.invoke()
        wanted = self._outputs[:num_outputs]
        return [self._interpreter.get_tensor(index)[0] for index in wanted]


class Networks:
    """The four networks.

    Attributes:
        pose_detector: Where a person is.
        pose: The points of a person.
        palm_detector: Where hands are.
        hand: The points of a hand.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        """Loads the networks.

        Args:
            directory: A folder with the files of `network_files.NETWORK_FILES`.

        Raises:
            LandmarkError: If a file is missing, or is not the one that is known.
        """
        contents = [read_network(directory, name) for name in NETWORK_FILES]
        pose_detector, pose, palm_detector, hand = contents
        with _silenced():
            # What black is to each: MediaPipe's graphs, `output_tensor_float_range`.
            self.pose_detector = Network(pose_detector, low=-1.0)
            self.pose = Network(pose)
            self.palm_detector = Network(palm_detector)
            self.hand = Network(hand)


@contextlib.contextmanager
def _silenced() -> Iterator[None]:
    """Keeps what LiteRT prints about itself off the terminal; it has no setting."""
    stderr = os.dup(2)
    try:
        with open(os.devnull, "wb") as nothing:
            os.dup2(nothing.fileno(), 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


def _interpreter_class() -> Any:
    """Returns LiteRT's interpreter, or TensorFlow's own where that is not installed."""
    try:
        from ai_edge_litert.interpreter import Interpreter  # pyright: ignore
    except ImportError:
        # The same networks, but 3 s and half a gigabyte in every process.
        import tensorflow as tf

        return tf.lite.Interpreter
    return Interpreter
