"""Rematerialisation: a backbone whose blocks are computed again for their gradients.

Backpropagation keeps what every layer made until its gradient is due, which is most of
the memory of a training step. Here only what passes from block to block is kept; the
rest is computed a second time, block by block, while the gradients come back. The same
numbers, for about one more forward pass.
"""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from wlasl_tfrecord.errors import RecipeError

__all__ = ["rematerialised"]


def rematerialised(
    model: keras.Model, blocks: Sequence[Sequence[keras.layers.Layer]]
) -> keras.Model:
    """Returns a model on the same weights that keeps less for its gradients.

    It is for the training step alone; what is saved is the model itself.

    Args:
        model: Has the blocks among its layers, or in one of them that is a model.
        blocks: Layers that follow each other, first to last; all that is between the
            end of one block and the end of the next is computed again together.

    Raises:
        RecipeError: If a connection leaps over the end of a block.
    """
    holders = [one for one in model.layers if isinstance(one, keras.Model)]
    holder = next((one for one in holders if blocks[0][0] in one.layers), model)
    try:
        chain = _Chain(holder, [block[-1].output for block in blocks])
    except ValueError as error:
        raise RecipeError(
            f"the blocks of {model.name} do not follow each other in a line, each "
            f"ending in the layer that the next one begins with ({error}); change "
            "backbone_blocks, or train without --remat"
        ) from error
    if holder is model:
        inputs = keras.Input(batch_shape=model.input_shape, dtype=model.inputs[0].dtype)
        return keras.Model(inputs, chain(inputs))

    def call(layer: Any, *args: Any, **options: Any) -> Any:
        return chain(*args) if layer is holder else layer(*args, **options)

    return keras.models.clone_model(
        model, clone_function=lambda layer: layer, call_function=call
    )


class _Chain(keras.layers.Layer):
    """Runs a model in segments, of which gradients keep only what passes between."""

    def __init__(self, model: keras.Model, ends: Sequence[Any]) -> None:
        super().__init__(dtype=model.dtype_policy)
        starts = [model.input, *ends]
        stops = [*ends, model.output]
        self.segments = [
            keras.Model(start, stop)
            for start, stop in zip(starts, stops)
            if start is not stop
        ]
        for segment in self.segments:
            kinds = [isinstance(one, keras.layers.InputLayer) for one in segment.layers]
            # Keras 3.9 goes back to the beginning for what it misses.
            if sum(kinds) > 1:
                raise ValueError("a connection from before leads into one")

    def call(self, x: Any, training: bool | None = None) -> Any:
        """Computes the output of the model."""
        for segment in self.segments:
            x = _run(segment, x, training)
        return x

    def compute_output_spec(self, x: Any, training: bool | None = None) -> Any:
        """Returns the shape of the output, without running anything."""
        for segment in self.segments:
            x = segment.compute_output_spec(x, training=training)
        return x


def _run(segment: keras.Model, x: tf.Tensor, training: bool | None) -> tf.Tensor:
    """Runs a part of a model such that its gradient computes it again."""
    trainable = [tf.convert_to_tensor(one) for one in segment.trainable_variables]
    others = [tf.convert_to_tensor(one) for one in segment.non_trainable_variables]
    written: list[int] = []

    # A function of tensors: what TensorFlow computes twice may read no variable, which
    # under a strategy it does not find, and must not write one twice.
    @tf.recompute_grad
    def pure(x: tf.Tensor, *weights: tf.Tensor) -> list[tf.Tensor]:
        y, after = segment.stateless_call(  # pyright: ignore
            list(weights), others, x, training=training
        )
        pairs = enumerate(zip(others, after, strict=True))
        written[:] = [index for index, (old, new) in pairs if new is not old]
        return [y, *(after[index] for index in written)]

    y, *after = pure(*_ending_together(x, *trainable))
    # The statistics of a BatchNorm that learns, and the like.
    for index, value in zip(written, after, strict=True):
        segment.non_trainable_variables[index].assign(value)
    return y


@tf.custom_gradient
def _ending_together(x: tf.Tensor, *weights: tf.Tensor) -> Any:
    """Passes tensors on, and the gradient of the first one back after the others.

    The gradients of a block's weights keep what was computed again for them. Nothing
    else orders them before the next block, and with few threads they came last.
    """

    def gradient(dx: tf.Tensor, *others: tf.Tensor) -> list[tf.Tensor]:
        if others:
            # Graph optimisers take away control dependencies and what is plainly zero.
            first = [tf.cast(tf.reshape(one, [-1])[0], dx.dtype) for one in others]
            is_any = tf.cast(tf.add_n(first), tf.bool)
            zero = tf.where(is_any == is_any, 0.0, float("nan"))
            dx += tf.cast(zero, dx.dtype)
        return [dx, *others]

    return [tf.identity(one) for one in (x, *weights)], gradient
