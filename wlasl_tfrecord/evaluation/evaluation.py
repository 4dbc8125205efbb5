"""How good a model is on a split: top-1, top-5 and top-10, and what it mixes up."""

import os
from functools import partial

import tensorflow as tf

from wlasl_tfrecord.evaluation.metrics import make_predictor
from wlasl_tfrecord.evaluation.report import EvaluationReport, report_clips
from wlasl_tfrecord.input_pipeline import dataset, distribution
from wlasl_tfrecord.input_pipeline.augment import AugmentConfig
from wlasl_tfrecord.input_pipeline.damaged_records import damaged_records_by_name
from wlasl_tfrecord.input_pipeline.elements import batches_of_clips, clip_element
from wlasl_tfrecord.network import model_info, saving
from wlasl_tfrecord.network.inputs import noise_inputs, pick_inputs
from wlasl_tfrecord.network.micro_batches import clips_at_once
from wlasl_tfrecord.network.out_of_memory import (
    batch_size_options,
    one_line_out_of_memory,
    out_of_memory_line,
)
from wlasl_tfrecord.network.outputs import logits_model
from wlasl_tfrecord.shard_format.shard_folder import ShardFolder, load_folder

__all__ = ["evaluate"]

# The crops of a view cut off at most a tenth of each side: what the model has learned
# to stand, and no hand is lost. A part in time leaves out at most a tenth.
_VIEWS = AugmentConfig(
    min_scale=0.9, max_stretch=1.0, time_jitter=0.0, min_duration=0.9
)


def evaluate(
    data: str | os.PathLike[str] | ShardFolder,
    run: str | os.PathLike[str],
    split: str = "val",
    batch_size: int = 16,
    strategy: tf.distribute.Strategy | None = None,
    max_bad_records: int = 0,
    recipe: str | os.PathLike[str] | None = None,
    num_views: int = 1,
) -> EvaluationReport:
    """Evaluates the model of a run on a split of a shard folder.

    Args:
        data: The shard folder, or what `load_folder` returned.
        run: A run folder, or the `.keras` or `.h5` file in it.
        split: "train", "val" or "test".
        batch_size: Clips in a global batch.
        strategy: Strategy to run in; by default one device.
        max_bad_records: Damaged records to skip; they are not counted.
        recipe: Recipe to execute for layers of its own; see `saving.load_network`.
        num_views: How many views of each clip the model sees: the clip itself, and
            random crops and parts in time as in training, always the same ones. What
            counts is the mean of the probabilities.

    Raises:
        ShardFolderError: If the folder or the split cannot be used, or a record is
            damaged.
        TrainingError: If there is no trained model, or it was trained for other clips.
        OutOfMemoryError: If the clips of a batch do not fit in memory.
        ValueError: If `num_views` is below 1.
    """
    if num_views < 1:
        raise ValueError(f"num_views must be at least 1, got {num_views}")
    if strategy is None:
        strategy = tf.distribute.get_strategy()
    assert strategy is not None  # TensorFlow's type says it might be
    replica_batch = distribution.per_replica_batch_size(batch_size, strategy)
    folder = data
    if not isinstance(folder, ShardFolder):
        folder = load_folder(folder, check_shards=max_bad_records == 0)
    folder.split_shards(split)
    info = model_info.read_model_info(run)
    model_info.check_fits(info, folder, run)
    with strategy.scope():
        path = model_info.model_path(run)
        model = saving.load_network(path, recipe=recipe)
        model_info.check_network(model, info, path)
        with saving.one_line_model_errors(path):
            predict = make_predictor(strategy, logits_model(model))

    def batches(
        view: int, context: tf.distribute.InputContext | None
    ) -> tf.data.Dataset:
        clips = dataset.input_fn(
            folder,
            split,
            batch_size,
            training=False,
            # The first view is the clip as it is.
            seed=view,
            augment=_VIEWS if view else False,
            element=clip_element(info.inputs),
            input_context=context,
            max_bad_records=max_bad_records,
        )
        return batches_of_clips(clips, info.inputs)

    def advice() -> str:
        options = batch_size_options(batch_size, strategy.num_replicas_in_sync)
        at_once = clips_at_once(replica_batch)
        return out_of_memory_line("evaluation", folder.clip, at_once, options)

    with saving.one_line_model_errors(path), one_line_out_of_memory(advice):
        clip = pick_inputs(info.inputs, noise_inputs(model, 1))
        model(clip, training=False)
    with damaged_records_by_name(), one_line_out_of_memory(advice):
        views = [predict(partial(batches, view)) for view in range(num_views)]
    return report_clips(folder, split, views)
