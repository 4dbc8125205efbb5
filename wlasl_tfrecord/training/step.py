"""One training step over a global batch: gradients on every replica, one update.

Keras 3's `fit` feeds PerReplica values where tensors are expected under
MultiWorkerMirroredStrategy, so the step is ours, on `strategy.run`, alike under every
strategy. It gives the same weights for any number of replicas: losses are summed and
divided by the weight of the whole batch, never averaged twice.
"""

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from wlasl_tfrecord.input_pipeline.elements import Batch
from wlasl_tfrecord.network.layers import layers_within
from wlasl_tfrecord.training.mixup import mix_clips
from wlasl_tfrecord.training.weight_average import WeightAverage

__all__ = [
    "Prepare",
    "StepResult",
    "TrainingStep",
    "differ_between_replicas",
]

# Changes inputs on the device: (inputs, int64 [B, 2] seeds) -> inputs.
Prepare = Callable[[Any, tf.Tensor], Any]

# As torch.amp and Keras have it: a scale that has worked this often is doubled.
_STEPS_BEFORE_GROWTH = 2000
_INITIAL_LOSS_SCALE = 2.0**15
_MAX_LOSS_SCALE = 2.0**24


class StepResult(NamedTuple):
    """What a step reports about its global batch, as tensors still being computed.

    Attributes:
        sums: float32 [4]: cross-entropy, top-1 hits, top-5 hits and weight, summed
            over all clips.
        finite: bool []; False if the update was skipped because of a NaN or infinity.
        loss_scale: float32 [], the scale that this step was computed with.
    """

    sums: tf.Tensor
    finite: tf.Tensor
    loss_scale: tf.Tensor


class TrainingStep:
    """A compiled step for a model that returns logits.

    Attributes:
        run: Updates the weights from a distributed `Batch` and returns a `StepResult`.
        variables: State of the step itself: the loss scale, and the number of steps
            that it has worked for.

    Reference:
        Micikevicius et al., "Mixed Precision Training", 2018, section 3.2.
    """

    def __init__(
        self,
        strategy: tf.distribute.Strategy,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        *,
        prepare: Prepare | None = None,
        label_smoothing: float = 0.0,
        mixup: float = 0.0,
        class_weights: Sequence[float] | None = None,
        accumulate: int = 1,
        scale_loss: bool = False,
        average: WeightAverage | None = None,
    ) -> None:
        """Compiles nothing yet; the first `run` does.

        Args:
            strategy: Strategy that model and optimizer were made in.
            model: Inputs -> float32 [B, num_classes] logits.
            optimizer: Updates the model's trainable variables.
            prepare: Changes the inputs on the device.
            label_smoothing: Share of the truth given to all classes alike.
            mixup: The alpha of `mix_clips`; 0 to mix no clips.
            class_weights: Weight of a clip of each class; by default 1.
            accumulate: Number of micro-batches that a replica computes its batch in,
                one after the other, to save memory.
            scale_loss: Whether to keep float16 gradients from vanishing, by a factor
                that halves on an overflow and doubles after long without one.
            average: Average of the weights to update after each step.
        """
        self._strategy = strategy
        self._model = model
        self._optimizer = optimizer
        self._prepare = prepare
        self._label_smoothing = label_smoothing
        self._mixup = mixup
        self._accumulate = accumulate
        self._scale_loss = scale_loss
        self._average = average
        self._trainable = model.trainable_variables
        several = strategy.num_replicas_in_sync > 1
        self._statistics = _statistics(model) if several else []
        self._num_classes = model.output_shape[-1]
        factors = tf.ones([self._num_classes])
        if class_weights is not None:
            factors = class_weights
        self._factors = tf.constant(factors, tf.float32)
        with strategy.scope():
            optimizer.build(self._trainable)
            self._scale = _replicated(
                _INITIAL_LOSS_SCALE if scale_loss else 1.0, "loss_scale"
            )
            self._held = _replicated(0.0, "loss_scale_steps")
        self.variables: Sequence[tf.Variable] = (self._scale, self._held)
        self.run: Any = tf.function(self._run, reduce_retracing=True)

    def _run(self, batch: Batch) -> StepResult:
        """Computes gradients on all replicas and updates the weights."""
        loss_scale = tf.identity(self._scale)
        gradients, totals = self._strategy.run(
            self._replica_gradients, args=(batch, loss_scale)
        )
        totals = self._strategy.experimental_local_results(totals)[0]
        finite = totals[4] == 0
        # A step that overflowed leaves weights and optimizer as they were.
        if finite:
            self._strategy.run(self._replica_update, args=(gradients,))
            if self._average is not None:
                self._average.update()
        if self._scale_loss:
            _update_scale(self._scale, self._held, finite)
        return StepResult(totals[:4], finite, loss_scale)

    def _replica_gradients(
        self, batch: Batch, loss_scale: tf.Tensor
    ) -> tuple[list[tf.Tensor], tf.Tensor]:
        """Computes one replica's share of the gradients, and the sums of all."""
        context = tf.distribute.get_replica_context()
        batch_weight = context.all_reduce("SUM", tf.reduce_sum(batch.weights))
        batch_weight = tf.maximum(batch_weight, 1.0)  # a batch of padding only
        if self._accumulate == 1:
            gradients, sums = self._gradients(batch, batch_weight, loss_scale)
        else:
            gradients, sums = self._accumulated(batch, batch_weight, loss_scale)
        if self._statistics:
            # Each replica has measured its own clips. Without the mean they drift
            # apart, and only the first one's would be saved.
            means = context.all_reduce(
                "MEAN", [tf.identity(one.value) for one in self._statistics]
            )
            for variable, mean in zip(self._statistics, means):
                variable.assign(mean)
        broken = _num_broken(gradients, sums)
        # All replicas must agree on whether to update.
        return gradients, context.all_reduce("SUM", tf.concat([sums, [broken]], 0))

    def _accumulated(
        self, batch: Batch, batch_weight: tf.Tensor, loss_scale: tf.Tensor
    ) -> tuple[list[tf.Tensor], tf.Tensor]:
        """Adds up the gradients and sums of micro-batches."""
        micro_batches = tf.nest.map_structure(
            lambda value: _split(value, self._accumulate), batch
        )
        gradients = [tf.zeros_like(variable) for variable in self._trainable]
        sums = tf.zeros([4])
        # A loop of the graph, not of Python, and no two rounds of it at once: there
        # are one micro-batch's activations at a time.
        for index in tf.range(self._accumulate):
            tf.autograph.experimental.set_loop_options(parallel_iterations=1)
            micro_batch = tf.nest.map_structure(itemgetter(index), micro_batches)
            more, more_sums = self._gradients(micro_batch, batch_weight, loss_scale)
            gradients = [old + new for old, new in zip(gradients, more)]
            sums += more_sums
        return gradients, sums

    def _gradients(
        self, batch: Batch, batch_weight: tf.Tensor, loss_scale: tf.Tensor
    ) -> tuple[list[tf.Tensor], tf.Tensor]:
        """Computes the gradients and sums of a batch, or of a micro-batch."""
        inputs = batch.inputs
        if self._prepare is not None:
            inputs = self._prepare(inputs, batch.seeds)
        truth = tf.one_hot(batch.labels, self._num_classes)
        if self._mixup:
            inputs, truth = mix_clips(inputs, truth, batch.seeds, self._mixup)
        with tf.GradientTape() as tape:
            logits = self._model(inputs, training=True)
            losses = keras.losses.categorical_crossentropy(
                truth,
                logits,
                from_logits=True,
                label_smoothing=self._label_smoothing,
            )
            losses *= batch.weights * tf.gather(self._factors, batch.labels)
            # Gradients of the replicas are added up, so each gives its share.
            share = tf.reduce_sum(losses) / batch_weight
            if self._model.losses:
                share += tf.add_n(self._model.losses) / (
                    self._strategy.num_replicas_in_sync * self._accumulate
                )
            share *= loss_scale
        gradients = [
            # None for a weight that the logits do not depend on.
            tf.zeros(one.shape) if found is None else tf.convert_to_tensor(found)
            for one, found in zip(
                self._trainable, tape.gradient(share, self._trainable)
            )
        ]
        return [one / loss_scale for one in gradients], _sums(batch, logits)

    def _replica_update(self, gradients: Sequence[tf.Tensor]) -> None:
        self._optimizer.apply(gradients, self._trainable)


def differ_between_replicas(
    strategy: tf.distribute.Strategy, model: keras.Model, seed: int
) -> None:
    """Sets another seed for the random layers of a model on each replica but the first.

    Keras gives all replicas the same one: the n-th clips of all replicas would lose the
    same features to dropout in every step, and a batch would see fewer masks the more
    GPUs share it. The other replicas' seeds follow from `seed`, so a resumed run has
    the same ones, although its checkpoint holds the first replica's alone.

    Args:
        strategy: Strategy that the model was made in.
        model: Model whose seed generators are changed.
        seed: Seed of the run.
    """
    states = [
        one for one in model.variables if one.path.endswith("seed_generator_state")
    ]

    def change_seeds() -> None:
        context = tf.distribute.get_replica_context()
        replica = tf.cast(context.replica_id_in_sync_group, tf.int64)
        for index, state in enumerate(states):
            key = tf.stack([seed + index * 2**32, replica])
            own = tf.random.stateless_uniform([], key, 0, 2**31 - 1, tf.int64)
            first, count = tf.unstack(tf.cast(state, tf.int64))
            drawn = tf.stack([tf.where(replica == 0, first, own), count])
            state.assign(tf.cast(drawn, state.dtype))

    if states and strategy.num_replicas_in_sync > 1:
        tf.function(lambda: strategy.run(change_seeds))()


def _statistics(model: keras.Model) -> list[Any]:
    """Lists the variables in which BatchNorm that learns keeps its statistics."""
    return [
        variable
        for layer in layers_within(model)
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


def _num_broken(gradients: Sequence[tf.Tensor], sums: tf.Tensor) -> tf.Tensor:
    """Counts the values that are no numbers; 0 if an update can be made."""
    broken = tf.add_n(
        [tf.reduce_sum(tf.cast(~tf.math.is_finite(g), tf.float32)) for g in gradients]
    )
    return broken + tf.cast(~tf.math.is_finite(sums[0]), tf.float32)


def _split(values: tf.Tensor, num_micro_batches: int) -> tf.Tensor:
    """Splits a batch in equal micro-batches, [B, ...] -> [num_micro_batches, b, ...].

    Raises:
        ValueError: If it does not divide.
    """
    shape = values.shape.as_list()
    if shape[0] is None or shape[0] % num_micro_batches:
        raise ValueError(
            f"--accumulate {num_micro_batches} does not divide a replica's batch of "
            f"{shape[0]}"
        )
    size = shape[0] // num_micro_batches
    return tf.reshape(values, [num_micro_batches, size, *shape[1:]])


def _sums(batch: Batch, logits: tf.Tensor) -> tf.Tensor:
    """Adds up cross-entropy, hits and weight of a batch, float32 [4]."""
    # Without smoothing and class weights, as the validation has it.
    plain = tf.nn.sparse_softmax_cross_entropy_with_logits(batch.labels, logits)
    counted = (plain, *(_hits(logits, batch.labels, k) for k in (1, 5)), 1.0)
    return tf.stack([tf.reduce_sum(x * batch.weights) for x in counted])


def _hits(logits: tf.Tensor, labels: tf.Tensor, k: int) -> tf.Tensor:
    """Returns 1 where the label is among the k best classes, float32 [B]."""
    best = tf.math.top_k(logits, min(k, int(logits.shape[-1] or k))).indices
    found = tf.reduce_any(tf.cast(best, tf.int64) == labels[:, tf.newaxis], axis=1)
    return tf.cast(found, tf.float32)
