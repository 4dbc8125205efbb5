"""Records become frames by NumPy and OpenCV, a batch a call: `reader="direct"`.

A batch is read straight into memory that TensorFlow then takes over. In a graph of
operations each clip is copied three times, and resized five times as slowly
(docs/decisions/0020-reading-without-a-graph.md).
"""

import atexit
import copy
import math
import threading
import time
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from wlasl_tfrecord.errors import RecordError, StoreError
from wlasl_tfrecord.input_pipeline.augment import (
    AugmentConfig,
    change_landmarks,
    draw_changes,
)
from wlasl_tfrecord.input_pipeline.clip_change import ClipChange
from wlasl_tfrecord.input_pipeline.damaged_records import (
    DamageBudget,
    failure_text,
    store_failure_text,
)
from wlasl_tfrecord.input_pipeline.frame_buffers import FrameBuffers
from wlasl_tfrecord.input_pipeline.order import clip_seed, with_first_epoch
from wlasl_tfrecord.input_pipeline.plan import InputPlan
from wlasl_tfrecord.input_pipeline.sequential import window_positions, window_range
from wlasl_tfrecord.input_pipeline.shard_reader import ShardReader
from wlasl_tfrecord.input_pipeline.stages import (
    Stages,
    Tensors,
    batch_clips,
    batch_positions,
    find_places,
    run_batches,
)
from wlasl_tfrecord.shard_format.landmarks import NUM_LANDMARKS

__all__ = ["direct_stages"]

# The most landmarks that are kept in memory where no frames are wanted: those of 10,000
# clips of 30 frames. To find them, the whole record is read.
_MOST_KEPT_BYTES = 2**28

Frames = NDArray[np.uint8]
Landmarks = NDArray[np.float32]


def direct_stages(plan: InputPlan) -> Stages:
    """Makes the stages of a plan."""
    batch_reader = _BatchReader(plan)

    def complete(position: tf.Tensor, first_epoch: tf.Tensor) -> Tensors:
        places = find_places(plan, position, first_epoch)
        return _read(plan, batch_reader, places)

    if plan.order.window_size:
        clips = _positions_by_window(plan, batch_reader)
        batches = batch_clips(plan, clips)
        return Stages(batches=batches, complete=complete, close=batch_reader.close)
    return Stages(
        batches=run_batches(plan),
        complete=lambda start, first_epoch: complete(
            batch_positions(plan, start), first_epoch
        ),
        close=batch_reader.close,
    )


def _positions_by_window(
    plan: InputPlan, batch_reader: "_BatchReader"
) -> tf.data.Dataset:
    """A worker's positions; before those of a window its records are read ahead."""

    def read_ahead(window: tf.Tensor, first_epoch: tf.Tensor):
        positions = window_positions(plan.order, plan.positions, window)
        epochs = tf.zeros_like(positions) + first_epoch
        records = find_places(plan, positions, epochs)["record"]
        done = tf.numpy_function(
            batch_reader.read_ahead, [records], tf.int64, stateful=False
        )
        return positions + tf.ensure_shape(done, []), epochs

    return (
        with_first_epoch(
            window_range(plan.order, plan.positions),
            plan.order.seed,
            reshuffle_each_iteration=plan.reshuffles,
        )
        .map(read_ahead)
        # The disk reads the next window while this one is used.
        .prefetch(1)
        .unbatch()
    )


def _read(plan: InputPlan, batch_reader: "_BatchReader", places: Tensors) -> Tensors:
    """Adds what the shards hold to a batch, and no weight to damaged clips."""
    clip, size = plan.folder.clip, plan.local_batch_size
    changes: list[tf.Tensor] = []
    if plan.augmentation is not None:
        changes = _draw_changes(plan, plan.augmentation, places)
    frames, landmarks, record, whole, failure = tf.numpy_function(
        batch_reader.read,
        [places["record"], *changes],
        (tf.uint8, tf.float32, tf.int64, tf.float32, tf.string),
        # So that the state of an iterator can be stored in a checkpoint.
        stateful=False,
    )
    check = tf.raw_ops.Assert(condition=tf.equal(failure, ""), data=[failure])
    read: dict[str, tf.Tensor] = {}
    with tf.control_dependencies([] if check is None else [check]):
        if plan.has_frames:
            shape = [size, *clip.shape]
            read["frames"] = tf.ensure_shape(tf.identity(frames), shape)
        if plan.has_landmarks:
            shape = [size, clip.num_frames, NUM_LANDMARKS, 3]
            read["landmarks"] = tf.ensure_shape(tf.identity(landmarks), shape)
    if plan.has_landmarks and changes:
        read["landmarks"] = change_landmarks(read["landmarks"], changes, clip.shape[:3])
    return {
        **read,
        "epoch": places["epoch"],
        "record": tf.ensure_shape(record, [size]),
        "weight": places["weight"] * tf.ensure_shape(whole, [size]),
    }


def _draw_changes(
    plan: InputPlan, config: AugmentConfig, places: Tensors
) -> list[tf.Tensor]:
    """Draws the changes of a batch: `draw_changes`'s values, [B, ...] each."""
    num_frames = plan.folder.clip.num_frames
    drawn = tf.map_fn(
        lambda seed: draw_changes(seed, plan.folder.clip.shape[:3], config),
        clip_seed(plan.order.seed, places["epoch"], places["record"]),
        fn_output_signature=(
            tf.TensorSpec([num_frames], tf.int32),
            tf.TensorSpec([4], tf.int32),
            tf.TensorSpec([], tf.bool),
        ),
    )
    return list(drawn)


class _BatchReader:
    """Reads the batches of one input; its calls come from TensorFlow's threads."""

    def __init__(self, plan: InputPlan) -> None:
        self._calls = _Calls()
        self._reader = ShardReader(
            plan.folder,
            plan.split,
            records=plan.records,
            check_shards=plan.max_bad_records == 0,
        )
        self._has_frames = plan.has_frames
        self._has_landmarks = plan.has_landmarks
        # Landmarks by record. Setting one needs no lock.
        self._kept: dict[int, Landmarks] = {}
        self._substitute = plan.training
        self._max_bad_records = plan.max_bad_records
        # At least one record has to be whole, or nothing could stand in for the others.
        budget = min(plan.max_bad_records, len(plan.records) - 1)
        self._budget = DamageBudget(budget)
        shape = (plan.local_batch_size, *plan.folder.clip.shape)
        # As many as there can be at a time: being read, waiting, and in use.
        most = plan.buffers.batch_calls + plan.buffers.prefetch + 1
        # Where no frames are wanted, their memory is free for landmarks.
        self._most_kept_bytes = min(_MOST_KEPT_BYTES, most * math.prod(shape))
        self._buffers = FrameBuffers(shape, max_free=most)
        self._closed = False
        atexit.register(self._calls.stop)

    def close(self) -> None:
        """Lets go of memory and files: the dataset is gone.

        TensorFlow keeps a dataset's functions until the program ends, and so this one.
        Calls still work: of an iterator that ends after its dataset, or of a dataset
        that was made from the variant of this one. Each then opens what it reads.
        """
        self._closed = True
        self._reader = copy.copy(self._reader)
        self._buffers = FrameBuffers(self._buffers.shape, max_free=0)
        self._kept, self._most_kept_bytes = {}, 0

    def read(
        self, records: NDArray[np.int64], *changes: NDArray[Any]
    ) -> tuple[Frames, Landmarks, NDArray[np.int64], NDArray[np.float32], bytes]:
        """Reads a batch.

        Args:
            records: int64 [B].
            changes: What `_draw_changes` returned; nothing for no changes.

        Returns:
            The frames, and the landmarks of the unchanged clips, nothing for what is
            not wanted; the records that were read; 1 for those that are whole, and 0;
            what the input fails with, or nothing.
        """
        frames = self._buffers.take() if self._has_frames else np.empty(0, np.uint8)
        landmarks = np.zeros(self._landmarks_shape(len(records)), np.float32)
        read, whole = records.copy(), np.ones(len(records), np.float32)
        failure = ""
        with self._calls:
            reader = self._opened()
            try:
                with reader.requested(self._not_kept(records)):
                    for place, record in enumerate(records.tolist()):
                        change = _change(place, *changes) if changes else None
                        out = (
                            frames[place] if self._has_frames else None,
                            landmarks[place] if self._has_landmarks else None,
                        )
                        found = self._read_clip(reader, record, *out, change)
                        read[place] = record if found is None else found
                        whole[place] = found is not None
            except RecordError as error:
                failure = "".join(failure_text(str(error), self._max_bad_records))
            except StoreError as error:
                failure = store_failure_text(str(error))
        return frames, landmarks, read, whole, failure.encode()

    def read_ahead(self, records: NDArray[np.int64]) -> NDArray[np.int64]:
        """Asks the system to read records in file order; returns 0."""
        with self._calls:
            self._opened().read_ahead(np.sort(records))
        return np.zeros((), np.int64)

    def _opened(self) -> ShardReader:
        """Returns the reader of a call."""
        # A copy has no open file, and no memory.
        return copy.copy(self._reader) if self._closed else self._reader

    def _not_kept(self, records: NDArray[np.int64]) -> list[int]:
        """Returns the records that are read: all but those kept in memory."""
        return [record for record in records.tolist() if record not in self._kept]

    def _landmarks_of(self, reader: ShardReader, record: int) -> Landmarks:
        """Reads landmarks alone: [T, K, 3]; the next time from memory."""
        kept = self._kept.get(record)
        if kept is None:
            kept = reader.read_landmarks([record])[0]
            if (len(self._kept) + 1) * kept.nbytes <= self._most_kept_bytes:
                self._kept[record] = kept
        return kept

    def _landmarks_shape(self, num_clips: int) -> tuple[int, ...]:
        if not self._has_landmarks:
            return (0,)
        return (num_clips, self._reader.folder.clip.num_frames, NUM_LANDMARKS, 3)

    def _read_clip(
        self,
        reader: ShardReader,
        record: int,
        frames: Frames | None,
        landmarks: Landmarks | None,
        change: ClipChange | None,
    ) -> int | None:
        """Reads a record or what stands in for it; None for a black clip."""
        while True:
            try:
                if frames is not None:
                    reader.read_frames(record, frames, change, landmarks=landmarks)
                elif landmarks is not None:
                    landmarks[:] = self._landmarks_of(reader, record)
                return record
            except RecordError as error:
                if not self._budget.tolerate(record, str(error)):
                    raise
            if not self._substitute:
                for one in (frames, landmarks):
                    if one is not None:
                        one[...] = 0
                return None
            record = (record + 1) % len(reader)


def _change(
    place: int, shown: NDArray[Any], boxes: NDArray[Any], flips: NDArray[Any]
) -> ClipChange:
    """Returns the change of one clip of a batch."""
    return ClipChange(
        frame_indices=tuple(shown[place].tolist()),
        crop=tuple(boxes[place].tolist()),
        flip=bool(flips[place]),
    )


class _Calls:
    """The calls that are under way, so that the interpreter can wait for them.

    TensorFlow's threads read ahead although nobody takes the batches. A thread that
    needs the lock of Python while the interpreter ends never returns, and TensorFlow
    would wait for it.
    """

    # TensorFlow starts the calls that its buffers have room for within microseconds.
    _QUIET_SECONDS, _WAIT_SECONDS = 0.1, 10.0

    def __init__(self) -> None:
        # Of the calling threads; adding and removing needs no lock.
        self._threads: set[int] = set()
        self._last = 0.0
        self._stopped = False

    def __enter__(self) -> None:
        self._last = time.monotonic()
        if self._stopped:
            raise RuntimeError("the interpreter is ending")
        self._threads.add(threading.get_ident())

    def __exit__(self, *_: object) -> None:
        self._threads.discard(threading.get_ident())
        self._last = time.monotonic()

    def stop(self) -> None:
        """Lets later calls fail at once, and waits until there are none."""
        self._stopped = True
        started = time.monotonic()
        while (now := time.monotonic()) - started < self._WAIT_SECONDS:
            if not self._threads and now - self._last > self._QUIET_SECONDS:
                return
            time.sleep(0.002)
