"""One training step over a global batch: gradients on every replica, one update.

Keras 3's `fit` feeds PerReplica values where tensors are expected under
MultiWorkerMirroredStrategy, so the step is ours, on `strategy.run`, alike under every
strategy. It gives the same weights for any number of replicas: losses are summed and
divided by the weight of the whole batch, never averaged twice.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from wlasl_tfrecord.input_pipeline.elements import Batch

__all__ = [
    "StepResult",
    "TrainingStep",
    "make_training_step",
    "part_seeds",
]

# As torch.amp and Keras have it: a scale that has worked this often is doubled.
_STEPS_BEFORE_GROWTH = 2000
_INITIAL_LOSS_SCALE = 2.0**15
_MAX_LOSS_SCALE = 2.0**24


class StepResult(NamedTuple):
    """What a step says of its global batch, as tensors that are still being computed.

    Attributes:
        sums: float32 [4]: cross-entropy, top-1 and top-5 hits, and weight, over all
            clips.
        finite: bool []; False if the update was skipped for a NaN or an infinity.
        loss_scale: float32 [], with which this step was computed.
    """

    sums: tf.Tensor
    finite: tf.Tensor
    loss_scale: tf.Tensor


class TrainingStep(NamedTuple):
    """A compiled step and what it keeps between calls besides model and optimizer.

    Attributes:
        run: Takes a distributed `Batch`, updates the weights.
        variables: The loss scale and how many steps it has held.
    """

    run: Callable[[Batch], StepResult]
    variables: Sequence[tf.Variable]


def make_training_step(
    strategy: tf.distribute.Strategy,
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    *,
    prepare: Callable[[tf.Tensor, tf.Tensor], tf.Tensor] | None = None,
    label_smoothing: float = 0.0,
    class_weights: Sequence[float] | None = None,
    accumulate: int = 1,
    scale_loss: bool = False,
) -> TrainingStep:
    """Makes the step for a model that gives logits.

    Args:
        strategy: Where model and optimizer were made.
        model: Inputs -> float32 [B, num_classes] logits.
        optimizer: Updates the model's trainable variables.
        prepare: Changes the inputs on the device, given them and the seeds.
        label_smoothing: Share of the truth that goes to all classes alike.
        class_weights: What a clip of each class counts; by default 1.
        accumulate: In how many parts a replica computes its batch, one after the other,
            to save memory.
        scale_loss: Keep float16 gradients from vanishing, by a factor that halves when
            they overflow and doubles when they have not for long.

    Reference:
        Micikevicius et al., "Mixed Precision Training", 2018, section 3.2.
    """
    trainable = model.trainable_variables
    statistics = _statistics(model) if strategy.num_replicas_in_sync > 1 else []
    num_classes = model.output_shape[-1]
    factors = tf.ones([num_classes]) if class_weights is None else class_weights
    factors = tf.constant(factors, tf.float32)
    with strategy.scope():
        optimizer.build(trainable)
        scale = _replicated(_INITIAL_LOSS_SCALE if scale_loss else 1.0, "loss_scale")
        held = _replicated(0.0, "loss_scale_steps")

    def part_gradients(part: Batch, batch_weight: tf.Tensor, loss_scale: tf.Tensor):
        inputs = part.inputs if prepare is None else prepare(part.inputs, part.seeds)
        with tf.GradientTape() as tape:
            logits = model(inputs, training=True)
            losses = keras.losses.categorical_crossentropy(
                tf.one_hot(part.labels, num_classes),
                logits,
                from_logits=True,
                label_smoothing=label_smoothing,
            )
            losses *= part.weights * tf.gather(factors, part.labels)
            # Gradients of the replicas are added up, so each gives its share.
            share = tf.reduce_sum(losses) / batch_weight
            if model.losses:
                share += tf.add_n(model.losses) / (
                    strategy.num_replicas_in_sync * accumulate
                )
            share *= loss_scale
        gradients = [
            # None for a weight that the logits do not depend on.
            tf.zeros(one.shape) if found is None else tf.convert_to_tensor(found)
            for one, found in zip(trainable, tape.gradient(share, trainable))
        ]
        gradients = [one / loss_scale for one in gradients]
        # Without smoothing and class weights, as the validation has it.
        plain = tf.nn.sparse_softmax_cross_entropy_with_logits(part.labels, logits)
        told = (plain, *(_hits(logits, part.labels, k) for k in (1, 5)), 1.0)
        return gradients, tf.stack([tf.reduce_sum(x * part.weights) for x in told])

    def replica_gradients(batch: Batch, loss_scale: tf.Tensor):
        context = tf.distribute.get_replica_context()
        batch_weight = context.all_reduce("SUM", tf.reduce_sum(batch.weights))
        batch_weight = tf.maximum(batch_weight, 1.0)  # a batch of padding only
        if accumulate == 1:
            gradients, sums = part_gradients(batch, batch_weight, loss_scale)
        else:
            parts = Batch(*(_split(value, accumulate) for value in batch))
            gradients = [tf.zeros_like(variable) for variable in trainable]
            sums = tf.zeros([4])
            # A loop of the graph, not of Python, and no two rounds of it at once: there
            # are one part's activations at a time.
            for index in tf.range(accumulate):
                tf.autograph.experimental.set_loop_options(parallel_iterations=1)
                part = Batch(*(value[index] for value in parts))
                more, part_sums = part_gradients(part, batch_weight, loss_scale)
                gradients = [old + new for old, new in zip(gradients, more)]
                sums += part_sums
        if statistics:
            # Each replica has measured its own clips. Without the mean they drift
            # apart, and only the first one's would be saved and gone on from.
            means = context.all_reduce(
                "MEAN", [tf.identity(one.value) for one in statistics]
            )
            for variable, mean in zip(statistics, means):
                variable.assign(mean)
        broken = tf.add_n(
            [
                tf.reduce_sum(tf.cast(~tf.math.is_finite(g), tf.float32))
                for g in gradients
            ]
        ) + tf.cast(~tf.math.is_finite(sums[0]), tf.float32)
        # All replicas must agree on whether to update.
        return gradients, context.all_reduce("SUM", tf.concat([sums, [broken]], 0))

    def replica_update(gradients: Sequence[tf.Tensor]) -> None:
        optimizer.apply(gradients, trainable)

    @tf.function(reduce_retracing=True)
    def run(batch: Batch) -> StepResult:
        loss_scale = tf.identity(scale)
        gradients, totals = strategy.run(replica_gradients, args=(batch, loss_scale))
        totals = strategy.experimental_local_results(totals)[0]
        finite = totals[4] == 0
        # A step that overflowed leaves weights and optimizer as they were.
        if finite:
            strategy.run(replica_update, args=(gradients,))
        if scale_loss:
            _update_scale(scale, held, finite)
        return StepResult(totals[:4], finite, loss_scale)

    return TrainingStep(run, (scale, held))


def _statistics(model: keras.Model) -> list[Any]:
    """Lists the variables in which BatchNorm that learns keeps what it measures."""
    return [
        variable
        # The public `layers` ends at a wrapper, such as TimeDistributed.
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
        for variable in layer.non_trainable_variables
    ]


def _replicated(value: float, name: str) -> tf.Variable:
    """Makes a variable that is assigned only outside of `strategy.run`."""
    return tf.Variable(
        tf.constant(value),
        trainable=False,
        name=name,
        aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
    )


def _update_scale(scale: tf.Variable, held: tf.Variable, finite: tf.Tensor) -> None:
    """Halves the loss scale after an overflow, doubles it after a long time without."""
    steps = tf.where(finite, held + 1.0, 0.0)
    grow = steps >= _STEPS_BEFORE_GROWTH
    doubled = tf.minimum(scale * 2.0, _MAX_LOSS_SCALE)
    kept = tf.where(grow, doubled, tf.identity(scale))
    scale.assign(tf.where(finite, kept, tf.maximum(scale / 2.0, 1.0)))
    held.assign(tf.where(grow, 0.0, steps))


def _split(values: tf.Tensor, num_parts: int) -> tf.Tensor:
    """Cuts a batch into parts of the same size, [B, ...] -> [num_parts, b, ...]."""
    shape = values.shape.as_list()
    if shape[0] is None or shape[0] % num_parts:
        raise ValueError(
            f"--accumulate {num_parts} does not divide a replica's batch of {shape[0]}"
        )
    return tf.reshape(values, [num_parts, shape[0] // num_parts, *shape[1:]])


def _hits(logits: tf.Tensor, labels: tf.Tensor, k: int) -> tf.Tensor:
    """Says whether the label is among the k best classes, float32 [B]."""
    best = tf.math.top_k(logits, min(k, int(logits.shape[-1] or k))).indices
    found = tf.reduce_any(tf.cast(best, tf.int64) == labels[:, tf.newaxis], axis=1)
    return tf.cast(found, tf.float32)


def part_seeds(strategy: tf.distribute.Strategy, model: keras.Model, seed: int) -> None:
    """Gives the random layers of a model another seed on each replica but the first.

    Keras gives all replicas the same one: the n-th clips of all replicas would lose the
    same features to dropout in every step, and a batch would see fewer masks the more
    GPUs share it. What stands in the other replicas' variables follows from the seed,
    so it is the same in a run that goes on, whose checkpoint holds the first one's.

    Args:
        strategy: Where the model was made.
        model: Its seed generators are changed.
        seed: Of the run.
    """
    states = [
        one for one in model.variables if one.path.endswith("seed_generator_state")
    ]

    def part() -> None:
        context = tf.distribute.get_replica_context()
        replica = tf.cast(context.replica_id_in_sync_group, tf.int64)
        for index, state in enumerate(states):
            key = tf.stack([seed + index * 2**32, replica])
            own = tf.random.stateless_uniform([], key, 0, 2**31 - 1, tf.int64)
            first, count = tf.unstack(tf.cast(state, tf.int64))
            drawn = tf.stack([tf.where(replica == 0, first, own), count])
            state.assign(tf.cast(drawn, state.dtype))

    if states and strategy.num_replicas_in_sync > 1:
        tf.function(lambda: strategy.run(part))()
