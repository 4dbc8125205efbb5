"""From a position in the run to a batch: the chain of `input_fn`."""

import weakref
from collections.abc import Mapping

import tensorflow as tf

from wlasl_tfrecord.input_pipeline.data_service import served_stages
from wlasl_tfrecord.input_pipeline.direct_stages import direct_stages
from wlasl_tfrecord.input_pipeline.elements import describe, make_table, select
from wlasl_tfrecord.input_pipeline.graph_stages import graph_stages
from wlasl_tfrecord.input_pipeline.plan import InputPlan
from wlasl_tfrecord.input_pipeline.stages import (
    Stages,
    Tensors,
    batch_positions,
    find_places,
    run_batches,
)

__all__ = ["make_batches"]


def make_batches(plan: InputPlan) -> tf.data.Dataset:
    """Makes the dataset of a plan."""
    if plan.element == "keys":
        stages = _key_stages(plan)
    elif plan.data_service is not None:
        stages = served_stages(plan, plan.data_service)
    elif plan.reader == "graph":
        stages = graph_stages(plan)
    else:
        stages = direct_stages(plan)
    table = make_table(plan.records, plan.folder)
    batches = stages.batches.apply(
        tf.data.experimental.assert_cardinality(plan.num_batches)
    ).map(
        lambda *batch: _finish(plan, table, stages.complete(*batch)),
        num_parallel_calls=plan.buffers.batch_calls,
    )
    # What is made from a dataset refers to it, iterators too; but not a graph.
    if tf.executing_eagerly():
        weakref.finalize(batches, stages.close).atexit = False
    # Last, so that the next batch is ready while the device computes this one. More
    # than two would only displace each other from the cache.
    return batches.prefetch(plan.buffers.prefetch)


def _key_stages(plan: InputPlan) -> Stages:
    """Batches without frames: no record is read."""

    def complete(start: tf.Tensor, first_epoch: tf.Tensor) -> Tensors:
        return find_places(plan, batch_positions(plan, start), first_epoch)

    return Stages(batches=run_batches(plan), complete=complete)


def _finish(plan: InputPlan, table: Mapping[str, tf.Tensor], batch: Tensors):
    """Turns a batch into the element that was asked for."""
    described = describe(batch, table, plan.order.seed)
    return select(described, plan.element, ragged=plan.weighs)
