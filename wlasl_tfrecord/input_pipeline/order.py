"""The order of clips: which record is read for which place of which step.

It is computed, not shuffled through a buffer, so that a run can start at any step, and
so that every worker knows its own part without seeing the others'.
"""

from dataclasses import dataclass

import tensorflow as tf

__all__ = ["Order", "clip_seed", "locate", "numbered"]


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
        window: 0 to permute the whole split; otherwise to permute runs of neighbouring
            records, and the clips inside of windows of this many.
        seed: Of the permutations, in [0, 2**31).

    Raises:
        ValueError: If a number is out of its range, or no full batch exists.
    """

    num_clips: int
    batch_size: int
    shuffled: bool
    drop_remainder: bool
    window: int = 0
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

    @property
    def clips_per_epoch(self) -> int:
        """Positions in an epoch, without the tail that training drops."""
        return self.steps_per_epoch * self.batch_size

    @property
    def run_length(self) -> int:
        """Neighbouring records that a windowed order leaves together when it reads."""
        # A few megabytes are as good as the whole file; a small split has more runs.
        return max(1, min(16, self.num_clips // 8, self.window or 1))


def locate(
    order: Order, position: tf.Tensor, first_epoch: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Finds the record at a position; works eagerly and inside `Dataset.map`.

    The permutation is TensorFlow's `RandomIndexShuffle`, which needs no memory and
    gives the same values in every release since 2.16.

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
        # The shuffle takes 32 bits of each seed; an epoch has up to 63 (dataset.py).
        folded = tf.math.floormod(epoch, 2**32) + epoch // 2**32
        if order.window:
            record = _shuffle_in_windows(order, record, folded)
        else:
            last = tf.constant(order.num_clips - 1, tf.int64)
            record = _shuffle(record, tf.constant(order.seed, tf.int64), folded, last)
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


def numbered(numbers: range, seed: int, *, fresh: bool) -> tf.data.Dataset:
    """Pairs each position, or window, with the number to add to its epoch.

    It is 0 in the first iteration of the dataset. With `fresh` it is another one in
    each later iteration, because Keras iterates a dataset anew in each epoch and would
    otherwise see the same order each time. The number comes from a random dataset that
    is drawn anew in each iteration, the only iteration counter of tf.data that has no
    variable, which tf.data service could not send to its workers.
    """
    counted = tf.data.Dataset.range(numbers.start, numbers.stop, numbers.step)
    if not fresh:
        return counted.map(lambda number: (number, tf.constant(0, tf.int64)))

    def draw() -> tf.data.Dataset:
        # As Dataset.random makes it where no tf.random.set_seed was called: with one,
        # it would draw something else, and workers with different ones differ.
        random_numbers = tf.raw_ops.RandomDatasetV2(
            seed=87654321,
            seed2=seed,
            seed_generator=tf.raw_ops.DummySeedGenerator(),
            output_types=[tf.int64],
            output_shapes=[[]],
            rerandomize_each_iteration=True,
        )
        spec = tf.TensorSpec([], tf.int64)
        return tf.data.experimental.from_variant(random_numbers, spec).take(1)

    # A twin gives away what the first iteration will draw.
    first_draw = next(iter(draw()))

    def add_number(drawn: tf.Tensor) -> tf.data.Dataset:
        # 31 bits above the 32 that real epochs take.
        other = (1 + tf.math.floormod(drawn, 2**31 - 1)) * 2**32
        first_epoch = tf.where(drawn == first_draw, tf.constant(0, tf.int64), other)
        return counted.map(lambda number: (number, first_epoch))

    return draw().flat_map(add_number)


def _shuffle(
    index: tf.Tensor, seed: tf.Tensor, epoch: tf.Tensor, last: tf.Tensor
) -> tf.Tensor:
    """Gives the place of an index, int64 [], in a permutation of [0, last]."""
    # Of each of three seeds it takes half as many bits as an index has, and 8 in every
    # split of up to 2**16 clips. tf.random.experimental.index_shuffle, which holds the
    # first one fixed at this number, gives seeds, and epochs, that are 256 apart the
    # same order. So what lies above 8 bits goes into the first one.
    first = 498247692 + seed // 256 * 31 + epoch // 256
    return tf.raw_ops.RandomIndexShuffle(
        index=index, seed=tf.stack([first, seed, epoch]), max_index=last, rounds=4
    )


def _shuffle_in_windows(order: Order, place: tf.Tensor, epoch: tf.Tensor) -> tf.Tensor:
    """Finds the record at a place of an epoch in a windowed order: int64 []."""
    window = place // order.window
    start = window * order.window
    last = tf.minimum(start + order.window, order.num_clips) - 1
    # A seed of its own for each window, none of them that of the runs.
    seed = tf.math.floormod(order.seed * 31 + 1 + window, 2**32)
    place = start + _shuffle(place - start, seed, epoch, last - start)
    length = order.run_length
    num_runs = order.num_clips // length
    # The rest that fills no run stays at the end.
    run = tf.minimum(place // length, num_runs - 1)
    moved = _shuffle(
        run,
        tf.constant(order.seed, tf.int64),
        epoch,
        tf.constant(num_runs - 1, tf.int64),
    )
    return tf.where(place < num_runs * length, place + (moved - run) * length, place)
