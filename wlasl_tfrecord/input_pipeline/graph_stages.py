"""Records become frames by operations of TensorFlow alone: `reader="graph"`.

Such a graph can be sent to a tf.data service, and reads wherever TensorFlow does.
"""

from collections.abc import Callable

import tensorflow as tf

from wlasl_tfrecord.input_pipeline.augment import (
    augment_clip,
    change_landmarks,
    draw_changes,
)
from wlasl_tfrecord.input_pipeline.order import clip_seed, with_first_epoch
from wlasl_tfrecord.input_pipeline.plan import InputPlan
from wlasl_tfrecord.input_pipeline.record_reader import RecordReader
from wlasl_tfrecord.input_pipeline.sequential import (
    read_window,
    window_positions,
    window_range,
)
from wlasl_tfrecord.input_pipeline.stages import (
    Stages,
    Tensors,
    batch_clips,
    batch_positions,
    find_places,
    run_positions,
)
from wlasl_tfrecord.shard_format.decode_frames import decode_encoded

__all__ = ["graph_stages", "make_batch"]


def graph_stages(plan: InputPlan) -> Stages:
    """Makes the stages of a plan."""
    clips = _clips_by_window(plan) if plan.order.window_size else _clips(plan)
    batches = batch_clips(plan, clips)
    if plan.augmentation is not None:
        return Stages(batches=batches, complete=lambda batch: batch)
    # Straight into the batch: decoded one by one, clips would be copied into it.
    return Stages(batches=batches, complete=lambda batch: _decode(plan, batch))


def make_batch(
    plan: InputPlan, number: tf.Tensor, *, first_epoch: tf.Tensor
) -> Tensors:
    """Makes one batch of a worker, in a graph that needs nothing but the shards.

    Args:
        plan: The plan; not of an order with windows.
        number: int64 [], the number of the batch among the worker's.
        first_epoch: int64 [], the epoch that the iteration begins with.

    Returns:
        The batch as `Stages.complete` returns it.
    """
    size, numbers = plan.local_batch_size, plan.positions.numbers
    start = numbers.start + number * size * numbers.step
    make_clip = _clip_maker(plan)
    clips = (
        tf.data.Dataset.from_tensor_slices(batch_positions(plan, start))
        .map(
            lambda position: make_clip(position, first_epoch),
            # The machine that runs this may have more cores than this one.
            num_parallel_calls=size,
        )
        .batch(size, drop_remainder=True)
        .get_single_element()
    )
    return clips if plan.augmentation is not None else _decode(plan, clips)


def _clips(plan: InputPlan) -> tf.data.Dataset:
    """The clips of a plan, each read from another place."""
    return run_positions(plan).map(
        _clip_maker(plan), num_parallel_calls=_parallel_calls(plan)
    )


def _clip_maker(plan: InputPlan) -> Callable[[tf.Tensor, tf.Tensor], Tensors]:
    """Returns a function from a position, and the first epoch, to a clip."""
    read = _reader(plan)

    # One function of all stages: no clip waits between two, and none is serial.
    def make_clip(position: tf.Tensor, first_epoch: tf.Tensor) -> Tensors:
        place = find_places(plan, position, first_epoch)
        return _augment(plan, _read(read, place))

    return make_clip


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


def _parallel_calls(plan: InputPlan) -> int:
    return plan.buffers.read_calls or tf.data.AUTOTUNE


def _reader(plan: InputPlan) -> RecordReader:
    return RecordReader(
        plan.folder,
        plan.split,
        plan.records,
        max_bad_records=plan.max_bad_records,
        substitute=plan.training,
        has_landmarks=plan.has_landmarks,
    )


def _locate_window(
    plan: InputPlan, window: tf.Tensor, first_epoch: tf.Tensor
) -> Tensors:
    """Finds the clips of a window: `find_places`'s values, [n] each."""
    return tf.map_fn(
        lambda position: find_places(plan, position, first_epoch),
        window_positions(plan.order, plan.positions, window),
        fn_output_signature={
            "record": tf.TensorSpec([], tf.int64),
            "epoch": tf.TensorSpec([], tf.int64),
            "weight": tf.TensorSpec([], tf.float32),
        },
    )


def _read(read: RecordReader, place: Tensors) -> Tensors:
    """Adds what a record holds to a clip, and no weight if it is damaged."""
    record, contents, whole = read(place["record"])
    weight = place["weight"] * tf.cast(whole, tf.float32)
    return {**place, "record": record, "weight": weight, **contents}


def _decode(plan: InputPlan, clips: Tensors) -> dict[str, tf.Tensor]:
    """Puts "frames" in place of the "encoded" ones, of one clip or a batch."""
    decoded = dict(clips)
    encoded = decoded.pop("encoded")
    if not plan.has_frames:
        return decoded
    frames = decode_encoded(encoded, plan.folder.clip, plan.folder.codec)
    return {"frames": frames, **decoded}


def _augment(plan: InputPlan, clip: Tensors) -> Tensors:
    """Decodes and changes a clip, if the plan is to change it."""
    if plan.augmentation is None:
        return clip
    decoded = _decode(plan, clip)
    seed = clip_seed(plan.order.seed, clip["epoch"], clip["record"])
    changed = dict(decoded)
    if plan.has_frames:
        changed["frames"] = augment_clip(decoded["frames"], seed, plan.augmentation)
    if plan.has_landmarks:
        shape = plan.folder.clip.shape[:3]
        changes = draw_changes(seed, shape, plan.augmentation)
        one_clip = [one[tf.newaxis] for one in changes]
        landmarks = decoded["landmarks"][tf.newaxis]
        changed["landmarks"] = change_landmarks(landmarks, one_clip, shape)[0]
    return changed
