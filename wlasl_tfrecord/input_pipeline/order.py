"""The order of clips: which record is read for which place of which step.

The order is computed, not shuffled through a buffer, so that a run can start at any
step, and so that every worker knows its own positions without seeing those of others.
"""

from dataclasses import dataclass

import tensorflow as tf

__all__ = [
    "Order",
    "WorkerPositions",
    "clip_seed",
    "locate",
    "with_first_epoch",
]


@dataclass(frozen=True, kw_only=True)
class Order:
    """The order of the clips of a split.

    A position counts the clips of a run over all steps and epochs: the clip at place p
    of the global batch of step s has position s * batch_size + p.

    Attributes:
        num_clips: Clips in the split, N.
        batch_size: Clips in a global batch, B.
        shuffled: True for another permutation each epoch; False for file order.
        drop_remainder: True for N // B steps an epoch, so that every batch is full.
            Which N % B clips are left out changes with the permutation. False for
            ceil(N / B) steps, the last of them padded with clips of weight zero.
        window_size: 0 to permute the whole split; otherwise the number of records in a
            window: runs of neighbouring records are permuted, and then the clips of
            each window.
        seed: Seed of the permutations, in [0, 2**31).

    Raises:
        ValueError: If a number is out of its range, or no full batch exists.
    """

    num_clips: int
    batch_size: int
    shuffled: bool
    drop_remainder: bool
    window_size: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        """Reject an order that has no steps."""
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
    def windows_per_epoch(self) -> int:
        """Windows in an epoch; the last one may be smaller."""
        return -(-self.clips_per_epoch // self.window_size)

    @property
    def run_length(self) -> int:
        """Neighbouring records that stay together in an order with windows."""
        # A few megabytes are as good as the whole file; a small split has more runs.
        return max(1, min(16, self.num_clips // 8, self.window_size or 1))


@dataclass(frozen=True, kw_only=True)
class WorkerPositions:
    """The positions that one worker reads: every n-th of the run.

    So the positions of all workers make up the same global batches for any number of
    workers.

    Attributes:
        start: First position of the run, of all workers.
        stop: One past the last position of the run; None for no end.
        worker_index: Which worker this is.
        num_workers: Number of workers, n.
    """

    start: int
    stop: int | None
    worker_index: int = 0
    num_workers: int = 1

    @property
    def numbers(self) -> range:
        """This worker's positions; 2**62 of them if there is no end."""
        stop = 2**62 if self.stop is None else self.stop
        return range(self.start + self.worker_index, stop, self.num_workers)


def locate(
    order: Order, position: tf.Tensor, first_epoch: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Finds the record at a position; works eagerly and inside `Dataset.map`.

    The permutation is TensorFlow's `RandomIndexShuffle`, which needs no memory and
    returns the same values in every release since 2.16.

    Args:
        order: The order of the split.
        position: int64 [...], one position or a batch of them.
        first_epoch: int64 [...], added to the epoch that the position is in.

    Returns:
        int64 [...] epoch, int64 [...] record in [0, N), float32 [...] weight: 1, or 0
        for padding.
    """
    step = position // order.batch_size
    place = tf.math.floormod(position, order.batch_size)
    epoch = first_epoch + step // order.steps_per_epoch
    place += tf.math.floormod(step, order.steps_per_epoch) * order.batch_size
    # Padding reads a record too (the last one), so that all clips have the same shape.
    weight = tf.cast(place < order.num_clips, tf.float32)
    record = tf.minimum(place, order.num_clips - 1)
    if order.shuffled:
        # The shuffle takes 32 bits of each seed; an epoch may have 63, see
        # `with_first_epoch`.
        folded = tf.math.floormod(epoch, 2**32) + epoch // 2**32
        if order.window_size:
            record = _shuffle_in_windows(order, record, folded)
        else:
            record = _shuffle(record, order.seed, folded, order.num_clips - 1)
    return epoch, record, weight


def clip_seed(seed: int, epoch: tf.Tensor, record: tf.Tensor) -> tf.Tensor:
    """Returns the seed of everything that is random about one clip in one epoch.

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


def with_first_epoch(
    numbers: range, seed: int, *, reshuffle_each_iteration: bool
) -> tf.data.Dataset:
    """Pairs each number with the epoch that the iteration begins with.

    Args:
        numbers: The positions, or windows, to read.
        seed: The run's seed.
        reshuffle_each_iteration: Whether the epoch is another one in each later
            iteration of the dataset: Keras iterates a dataset once for each of its
            epochs, and would see the same order each time. In the first iteration the
            epoch is 0 in any case.

    Returns:
        A dataset of (int64 [] number, int64 [] first epoch).
    """
    counted = tf.data.Dataset.range(numbers.start, numbers.stop, numbers.step)

    # Zipped, not mapped: TensorFlow would spread even this function over its threads,
    # which took a third of the time that a batch costs besides its reading.
    def with_epoch(first_epoch: tf.Tensor) -> tf.data.Dataset:
        epochs = tf.data.Dataset.from_tensors(first_epoch).repeat()
        return tf.data.Dataset.zip((counted, epochs))

    if not reshuffle_each_iteration:
        return with_epoch(tf.constant(0, tf.int64))

    # Iterations are counted by a random dataset, because tf.data service cannot send a
    # variable to its workers. A twin tells what the first iteration will draw
    # (docs/decisions/0005-the-order-of-clips.md).
    first_draw = next(iter(_one_draw(seed)))

    def add_first_epoch(drawn: tf.Tensor) -> tf.data.Dataset:
        # 31 bits above the 32 that real epochs take.
        later = (1 + tf.math.floormod(drawn, 2**31 - 1)) * 2**32
        return with_epoch(
            tf.where(drawn == first_draw, tf.constant(0, tf.int64), later)
        )

    return _one_draw(seed).flat_map(add_first_epoch)


def _one_draw(seed: int) -> tf.data.Dataset:
    """Makes a dataset of one random number, another one in each iteration."""
    # As Dataset.random makes it where no tf.random.set_seed was called: with one, it
    # would draw another number, and workers with different ones would differ.
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


def _shuffle(
    index: tf.Tensor, seed: tf.Tensor | int, epoch: tf.Tensor, last: tf.Tensor | int
) -> tf.Tensor:
    """Returns the place of an index, int64 [...], in a permutation of [0, last]."""
    # The operation uses half as many bits of each of its three seeds as an index has,
    # 8 in every split of up to 2**16 clips. tf.random.experimental.index_shuffle holds
    # the first seed at this number, and so seeds, and epochs, that are 256 apart have
    # the same order there. Here the bits above 8 go into the first seed.
    first = 498247692 + seed // 256 * 31 + epoch // 256
    seeds = tf.stack([first, tf.zeros_like(first) + seed, epoch], axis=-1)
    return tf.raw_ops.RandomIndexShuffle(
        index=index, seed=seeds, max_index=tf.zeros_like(index) + last, rounds=4
    )


def _shuffle_in_windows(order: Order, place: tf.Tensor, epoch: tf.Tensor) -> tf.Tensor:
    """Finds the record at a place of an epoch in an order with windows."""
    window = place // order.window_size
    start = window * order.window_size
    last = tf.minimum(start + order.window_size, order.num_clips) - 1
    # Each window has its own seed, and none of them is that of the runs.
    seed = tf.math.floormod(order.seed * 31 + 1 + window, 2**32)
    place = start + _shuffle(place - start, seed, epoch, last - start)
    length = order.run_length
    num_runs = order.num_clips // length
    # The rest that fills no run stays at the end.
    run = tf.minimum(place // length, num_runs - 1)
    moved = _shuffle(run, order.seed, epoch, num_runs - 1)
    return tf.where(place < num_runs * length, place + (moved - run) * length, place)
