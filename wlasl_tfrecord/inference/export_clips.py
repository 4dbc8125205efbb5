"""The clips of a shard folder that an export is calibrated on and compared on."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wlasl_tfrecord.inference import trained_model
from wlasl_tfrecord.inference.trained_model import Clips, TrainedModel
from wlasl_tfrecord.input_pipeline.shard_reader import ShardReader
from wlasl_tfrecord.network.inputs import FRAMES, LANDMARKS, pick_inputs
from wlasl_tfrecord.network.model_info import check_fits
from wlasl_tfrecord.shard_format.shard_folder import ShardFolder, load_folder

__all__ = [
    "Runner",
    "SplitComparison",
    "calibration_clips",
    "compare_on_noise",
    "compare_on_split",
    "load_fitting_folder",
]

Runner = Callable[[Clips], NDArray[np.float32]]

# Ranges of activations hardly change with more, and each costs a run of the network
# without its fast kernels.
_CALIBRATION_CLIPS = 64
# Read and computed at once; small, as a clip of 30 frames is 4.5 MB.
_CLIPS_AT_ONCE = 8


@dataclass(frozen=True, kw_only=True)
class SplitComparison:
    """How an export and its model do on the clips of a split.

    Attributes:
        split: "train", "val" or "test".
        num_clips: Clips of the split.
        model_correct: Clips whose first gloss is right, by the model in float32.
        export_correct: The same, by the export.
        same_first: Clips to which both give the same first gloss.
        max_difference: The largest difference of a probability.
    """

    split: str
    num_clips: int
    model_correct: int
    export_correct: int
    same_first: int
    max_difference: float

    def __str__(self) -> str:
        """Returns one line for a person."""
        return (
            f"{self.split}, {self.num_clips} clips: top-1 "
            f"{self.export_correct / self.num_clips:.1%}, the model "
            f"{self.model_correct / self.num_clips:.1%}; the same first gloss for "
            f"{self.same_first} clips, probabilities differ by at most "
            f"{self.max_difference:.1g}"
        )


def load_fitting_folder(
    data: str | os.PathLike[str] | ShardFolder, model: TrainedModel
) -> ShardFolder:
    """Loads a shard folder whose clips a model takes.

    Raises:
        ShardFolderError: If the folder cannot be used.
        TrainingError: If the model was trained on other clips or glosses.
    """
    folder = data if isinstance(data, ShardFolder) else load_folder(data)
    check_fits(model.info, folder, model.path)
    return folder


def calibration_clips(
    folder: ShardFolder, inputs: tuple[str, ...]
) -> Iterator[dict[str, NDArray[Any]]]:
    """Yields training clips, spread over the split, to measure activations on.

    Their order in the shards is that of a hash, so they are a sample of all glosses.

    Args:
        folder: The shard folder.
        inputs: What the network takes; see `network.inputs`.

    Yields:
        Single clips, at most 64 of them: uint8 [1, T, H, W, 3] frames, float32
        [1, T, K, 3] landmarks, or both, by name.

    Raises:
        ShardFolderError: If there is no split `train`.
    """
    reader = ShardReader(folder, "train")
    count = min(len(reader), _CALIBRATION_CLIPS)
    for record in np.linspace(0, len(reader) - 1, count).astype(int):
        yield _read(reader, [record], inputs)


def _read(
    reader: ShardReader, records: Sequence[int], inputs: tuple[str, ...]
) -> dict[str, NDArray[Any]]:
    """Reads what a network takes of some clips, by name."""
    values: dict[str, NDArray[Any]] = {}
    if FRAMES in inputs:
        values[FRAMES] = reader.read_batch(records)
    if LANDMARKS in inputs:
        values[LANDMARKS] = reader.read_landmarks(records)
    return values


def compare_on_split(
    model: TrainedModel, runner: Runner, folder: ShardFolder, split: str
) -> SplitComparison:
    """Counts on every clip of a split how often an export and its model are right.

    Raises:
        RecordError: If a record is damaged.
        ShardFolderError: If there is no such split.
    """
    reader = ShardReader(folder, split)
    labels = np.asarray(reader.records.labels)
    rows, expected = [], []
    for start in range(0, len(reader), _CLIPS_AT_ONCE):
        records = range(start, min(start + _CLIPS_AT_ONCE, len(reader)))
        inputs = model.info.inputs
        clips = pick_inputs(inputs, _read(reader, records, inputs))
        rows.append(runner(clips))
        expected.append(trained_model.probabilities(model, clips))
    answers, truth = np.concatenate(rows), np.concatenate(expected)
    first, model_first = answers.argmax(1), truth.argmax(1)
    return SplitComparison(
        split=split,
        num_clips=len(reader),
        model_correct=int((model_first == labels).sum()),
        export_correct=int((first == labels).sum()),
        same_first=int((first == model_first).sum()),
        max_difference=float(np.abs(answers - truth).max()),
    )


def compare_on_noise(model: TrainedModel, runner: Runner) -> tuple[float, int]:
    """Returns the largest difference of a probability, and on how many noise clips."""
    num_clips = 2
    clips = trained_model.noise(model, num_clips)
    frames = clips if isinstance(clips, np.ndarray) else clips[FRAMES]
    if frames.dtype == np.uint8:
        # Plain noise gives the same answer for every clip; another brightness does not.
        frames[1] //= 3
    difference = np.abs(runner(clips) - trained_model.probabilities(model, clips))
    return float(difference.max()), num_clips
