"""The event files of a run, which TensorBoard reads."""

import contextlib
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from wlasl_tfrecord.errors import OutputError

__all__ = [
    "EventLog",
]


class EventLog:
    """Writes scalars and images for TensorBoard, which need not be installed for it.

    `tf.summary` wants the package tensorboard, which TensorFlow no longer brings. The
    file is nothing but Event protos in a TFRecord file, and those TensorFlow has.
    """

    def __init__(self, directory: Path) -> None:
        import tensorflow as tf

        self._tf = tf
        self._directory = directory
        name = f"events.out.tfevents.{time.time_ns()}.{socket.gethostname()}"
        with self._output_errors():
            directory.mkdir(parents=True, exist_ok=True)
            self._writer = tf.io.TFRecordWriter(str(directory / name))
        self._write(tf.compat.v1.Event(file_version="brain.Event:2"))

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Writes one point of each curve."""
        summary = self._tf.compat.v1.Summary
        points = [
            summary.Value(tag=tag, simple_value=value) for tag, value in values.items()
        ]
        self._write(self._tf.compat.v1.Event(step=step, summary=summary(value=points)))

    def image(self, tag: str, png: bytes, step: int) -> None:
        """Writes one picture."""
        summary = self._tf.compat.v1.Summary
        image = summary.Image(encoded_image_string=png, colorspace=3)
        value = summary.Value(tag=tag, image=image)
        self._write(self._tf.compat.v1.Event(step=step, summary=summary(value=[value])))

    def close(self) -> None:
        """Closes the file."""
        with self._output_errors():
            self._writer.close()

    def _write(self, event: Any) -> None:
        event.wall_time = time.time()
        with self._output_errors():
            self._writer.write(event.SerializeToString())
            self._writer.flush()

    @contextlib.contextmanager
    def _output_errors(self) -> Iterator[None]:
        """Turns errors of TensorFlow and the system into one line."""
        try:
            yield
        except (OSError, self._tf.errors.OpError) as error:
            reason = getattr(error, "message", None) or error
            raise OutputError(
                f"cannot write to {self._directory} ({reason}); free some space and "
                f"resume with bin/train --resume {self._directory.parent}"
            ) from error
