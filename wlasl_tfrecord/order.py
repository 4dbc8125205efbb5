"""The order of clips: which record is read for which place of which step.

It is computed, not shuffled through a buffer, so that a run can start at any step, and
so that every worker knows its own part without seeing the others'.
"""

from dataclasses import dataclass

import tensorflow as tf

__all__ = ["Order", "clip_seed", "locate"]


@dataclass(frozen=True, kw_only=True)
class Order:
    """How the clips of a split follow each other.

    A position counts the clips of a run over all steps and epochs: the clip at place p
    of the global batch of step s has position s * batch_size + p.

    Attributes:
        num_clips: Clips in the split, N.
        batch_size: Clips in a global batch, B.
        shuffled: True for another permutation each epoch; False for file order.
        drop_remainder: True for N // B steps an epoch, so that every batch is full.
            Which N % B clips are left out changes with the permutation. False for
            ceil(N / B) steps, the last of them padded with clips of weight zero.
        seed: Of the permutations, in [0, 2**31).

    Raises:
        ValueError: If a number is out of its range, or no full batch exists.
    """

    num_clips: int
    batch_size: int
    shuffled: bool
    drop_remainder: bool
    seed: int = 0

    def __post_init__(self) -> None:
        """Reject what has no steps."""
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {self.batch_size}")
        if not 0 <= self.seed < 2**31:
            raise ValueError(f"seed must be in [0, 2**31), got {self.seed}")
        if self.steps_per_epoch < 1:
            raise ValueError(
                f"batch_size {self.batch_size} is larger than the split, which has "
                f"{self.num_clips} clips; choose a smaller one"
            )

    @property
    def steps_per_epoch(self) -> int:
        """Global batches in an epoch."""
        if self.drop_remainder:
            return self.num_clips // self.batch_size
        return -(-self.num_clips // self.batch_size)


def locate(
    order: Order, position: tf.Tensor, first_epoch: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Finds the record at a position; works eagerly and inside `Dataset.map`.

    The permutation is `tf.random.experimental.index_shuffle`, which needs no memory and
    gives the same values in every release of TensorFlow since 2.16.

    Args:
        order: The order of the split.
        position: int64 [].
        first_epoch: int64 [], added to the epoch that the position is in.

    Returns:
        int64 [] epoch, int64 [] record in [0, N), float32 [] weight: 1, or 0 for
        padding.
    """
    step = position // order.batch_size
    place = tf.math.floormod(position, order.batch_size)
    epoch = first_epoch + step // order.steps_per_epoch
    place += tf.math.floormod(step, order.steps_per_epoch) * order.batch_size
    # Padding reads a record too (the last one), so that all clips have the same shape.
    weight = tf.cast(place < order.num_clips, tf.float32)
    record = tf.minimum(place, order.num_clips - 1)
    if order.shuffled:
        # index_shuffle takes 32 bits of a seed; an epoch has up to 63 (dataset.py).
        folded = tf.math.floormod(epoch, 2**32) + epoch // 2**32
        record = tf.random.experimental.index_shuffle(  # pyright: ignore
            record,
            seed=tf.stack([tf.constant(order.seed, tf.int64), folded]),
            max_index=tf.constant(order.num_clips - 1, tf.int64),
        )
    return epoch, record, weight


def clip_seed(seed: int, epoch: tf.Tensor, record: tf.Tensor) -> tf.Tensor:
    """Gives the seed of all that is random about one clip in one epoch.

    Args:
        seed: The run's seed, in [0, 2**31).
        epoch: int64 [...].
        record: int64 [...], in [0, 2**31).

    Returns:
        int64 [..., 2], for `tf.random.stateless_*`; different for different arguments.
    """
    # Each half of the epoch beside one of the other numbers.
    low, high = tf.math.floormod(epoch, 2**32), epoch // 2**32
    return tf.stack([seed * 2**32 + low, record * 2**32 + high], axis=-1)
