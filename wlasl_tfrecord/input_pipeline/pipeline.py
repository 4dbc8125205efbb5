"""From a position in the run to a batch: the stages of `input_fn`, and their chain."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import tensorflow as tf

from wlasl_tfrecord.input_pipeline.augment import AugmentConfig, augment_clip
from wlasl_tfrecord.input_pipeline.buffers import Buffers
from wlasl_tfrecord.input_pipeline.elements import (
    Element,
    describe,
    make_table,
    select,
)
from wlasl_tfrecord.input_pipeline.order import (
    Order,
    WorkerPositions,
    clip_seed,
    locate,
    with_first_epoch,
)
from wlasl_tfrecord.input_pipeline.record_reader import RecordReader
from wlasl_tfrecord.input_pipeline.sequential import (
    read_window,
    window_positions,
    window_range,
)
from wlasl_tfrecord.shard_format.decode_frames import decode_encoded
from wlasl_tfrecord.shard_format.record_table import Records
from wlasl_tfrecord.shard_format.shard_folder import ShardFolder

__all__ = ["InputPlan", "make_batches"]

Tensors = Mapping[str, tf.Tensor]


@dataclass(frozen=True, kw_only=True)
class InputPlan:
    """What a call of `input_fn` has decided.

    Attributes:
        folder: The shard folder.
        split: The split.
        records: The split's table of records.
        order: The order of its clips.
        positions: What this worker reads.
        local_batch_size: Clips in an element of the dataset: for one replica.
        augmentation: How to change clips at random; None for not at all.
        element: What an element is.
        training: Whether damaged records are replaced, not marked.
        max_bad_records: How many damaged records are tolerated.
        buffers: How much is in memory at a time.
    """

    folder: ShardFolder
    split: str
    records: Records
    order: Order
    positions: WorkerPositions
    local_batch_size: int
    augmentation: AugmentConfig | None
    element: Element
    training: bool
    max_bad_records: int
    buffers: Buffers

    @property
    def num_clips(self) -> int:
        """Clips that this worker reads, or tf.data.INFINITE_CARDINALITY."""
        endless = self.positions.stop is None
        return tf.data.INFINITE_CARDINALITY if endless else len(self.positions.numbers)

    @property
    def reshuffles(self) -> bool:
        """Whether a second iteration of the dataset has another order."""
        return self.training and self.positions.stop is not None

    @property
    def pads(self) -> bool:
        """Whether a batch is filled up with clips of weight 0."""
        return not self.order.drop_remainder and (
            self.order.num_clips % self.order.batch_size > 0
        )

    @property
    def weighs(self) -> bool:
        """Whether a clip may have weight 0."""
        return self.pads or (not self.training and self.max_bad_records > 0)


def make_batches(plan: InputPlan) -> tf.data.Dataset:
    """Makes the dataset of a plan."""
    if plan.element == "keys":
        clips = _keys(plan)
    elif plan.order.window_size:
        clips = _clips_by_window(plan)
    else:
        clips = _clips(plan)
    table = make_table(plan.records, plan.folder)
    return (
        clips.apply(tf.data.experimental.assert_cardinality(plan.num_clips))
        .batch(plan.local_batch_size, drop_remainder=True)
        .map(
            lambda batch: _finish(plan, table, batch),
            num_parallel_calls=plan.buffers.decode_calls,
        )
        # Last, so that the next batch is ready while the device computes this one. More
        # than two would only displace each other from the cache.
        .prefetch(plan.buffers.prefetch)
    )


def _keys(plan: InputPlan) -> tf.data.Dataset:
    """The clips of a plan without their frames: no record is read."""
    return _positions(plan).map(
        lambda position, first_epoch: _locate(plan, position, first_epoch),
        num_parallel_calls=_parallel_calls(plan),
    )


def _clips(plan: InputPlan) -> tf.data.Dataset:
    """The clips of a plan, each read from another place."""
    read = _reader(plan)

    # One function of all stages: no clip waits between two, and none is serial.
    def make_clip(position: tf.Tensor, first_epoch: tf.Tensor) -> Tensors:
        place = _locate(plan, position, first_epoch)
        return _augment(plan, _read(read, place))

    return _positions(plan).map(make_clip, num_parallel_calls=_parallel_calls(plan))


def _clips_by_window(plan: InputPlan) -> tf.data.Dataset:
    """The clips of a plan, read in file order, a window at a time."""
    read, calls = _reader(plan), _parallel_calls(plan)

    def read_clips(window: tf.Tensor, first_epoch: tf.Tensor) -> tf.data.Dataset:
        return read_window(
            _locate_window(plan, window, first_epoch),
            lambda place: _read(read, place),
            # The room is taken at once, and more of it takes time: 0.6 s for 44,000.
            window_size=min(plan.order.window_size, plan.order.clips_per_epoch),
            num_parallel_calls=calls,
        )

    clips = (
        with_first_epoch(
            window_range(plan.order, plan.positions),
            plan.order.seed,
            reshuffle_each_iteration=plan.reshuffles,
        )
        .flat_map(read_clips)  # pyright: ignore[reportArgumentType]
        # So that the next window is read while this one empties.
        .prefetch(plan.buffers.window_size)
    )
    if plan.augmentation is None:
        return clips
    return clips.map(lambda clip: _augment(plan, clip), num_parallel_calls=calls)


def _positions(plan: InputPlan) -> tf.data.Dataset:
    """The positions of a plan, each with the epoch that the iteration begins with."""
    return with_first_epoch(
        plan.positions.numbers,
        plan.order.seed,
        reshuffle_each_iteration=plan.reshuffles,
    )


def _parallel_calls(plan: InputPlan) -> int:
    return plan.buffers.read_calls or tf.data.AUTOTUNE


def _reader(plan: InputPlan) -> RecordReader:
    return RecordReader(
        plan.folder,
        plan.split,
        plan.records,
        max_bad_records=plan.max_bad_records,
        substitute=plan.training,
    )


def _locate(plan: InputPlan, position: tf.Tensor, first_epoch: tf.Tensor) -> Tensors:
    """Finds the clip at a position: its "record", "epoch" and "weight"."""
    epoch, record, weight = locate(plan.order, position, first_epoch)
    return {"record": record, "epoch": epoch, "weight": weight}


def _locate_window(
    plan: InputPlan, window: tf.Tensor, first_epoch: tf.Tensor
) -> Tensors:
    """Finds the clips of a window: `_locate`'s values, [n] each."""
    return tf.map_fn(
        lambda position: _locate(plan, position, first_epoch),
        window_positions(plan.order, plan.positions, window),
        fn_output_signature={
            "record": tf.TensorSpec([], tf.int64),
            "epoch": tf.TensorSpec([], tf.int64),
            "weight": tf.TensorSpec([], tf.float32),
        },
    )


def _read(read: Callable, place: Tensors) -> Tensors:
    """Adds the "encoded" frames to a clip, and no weight if they are damaged."""
    record, encoded, whole = read(place["record"])
    weight = place["weight"] * tf.cast(whole, tf.float32)
    return {**place, "record": record, "weight": weight, "encoded": encoded}


def _decode(plan: InputPlan, clips: Tensors) -> dict[str, tf.Tensor]:
    """Puts "frames" in place of the "encoded" ones, of one clip or a batch."""
    decoded = dict(clips)
    encoded = decoded.pop("encoded")
    frames = decode_encoded(encoded, plan.folder.clip, plan.folder.codec)
    return {"frames": frames, **decoded}


def _augment(plan: InputPlan, clip: Tensors) -> Tensors:
    """Decodes and changes a clip, if the plan is to change it."""
    if plan.augmentation is None:
        return clip
    decoded = _decode(plan, clip)
    seed = clip_seed(plan.order.seed, clip["epoch"], clip["record"])
    frames = augment_clip(decoded["frames"], seed, plan.augmentation)
    return {**decoded, "frames": frames}


def _finish(plan: InputPlan, table: Tensors, batch: Tensors):
    """Turns a batch into the element that was asked for."""
    if "encoded" in batch:
        # Straight into the batch: decoded one by one, clips would be copied into it.
        batch = _decode(plan, batch)
    described = describe(batch, table, plan.order.seed)
    return select(described, plan.element, ragged=plan.weighs)
