import pytest
import tensorflow as tf

from wlasl_tfrecord.input_pipeline.order import Order, clip_seed, locate

ZERO = tf.constant(0, tf.int64)


def shuffled(**options):
    return Order(**{"shuffled": True, "drop_remainder": True} | options)


def records(order, positions, first_epoch=ZERO):
    return [
        int(locate(order, tf.constant(p, tf.int64), first_epoch)[1]) for p in positions
    ]


# A clip, a few, a prime, a power of two and its neighbours.
@pytest.mark.parametrize("num_clips", [1, 2, 7, 64, 65, 101])
@pytest.mark.parametrize("epoch", [0, 1, 2])
def test_every_epoch_is_a_permutation(num_clips, epoch):
    order = shuffled(num_clips=num_clips, batch_size=1)
    start = epoch * num_clips
    seen = records(order, range(start, start + num_clips))
    assert sorted(seen) == list(range(num_clips))


def test_epochs_and_seeds_have_different_orders():
    epochs = [
        tuple(
            records(shuffled(num_clips=50, batch_size=50, seed=seed), range(a, a + 50))
        )
        for seed in (0, 1)
        for a in (0, 50, 100)
    ]
    assert len(set(epochs)) == 6


def test_seeds_and_epochs_that_agree_in_their_lowest_bits_have_different_orders():
    def order(seed, epoch, **options):
        order = shuffled(num_clips=50, batch_size=50, seed=seed, **options)
        return tuple(records(order, range(50), tf.constant(epoch, tf.int64)))

    far = [0, 256, 512, 2**16 - 256, 5 * 2**32]
    assert len({order(0, epoch) for epoch in far}) == 5
    assert len({order(seed, 0) for seed in (0, 256, 2**16 - 256, 2**31 - 1)}) == 4
    assert order(3, 0, window_size=20) != order(3, 256, window_size=20)


def test_the_order_is_pinned():
    # Runs resume by position. Another value here breaks every run that was interrupted
    # under an older release: say so in CHANGELOG.md.
    order = shuffled(num_clips=10, batch_size=5, seed=7)
    assert records(order, range(10)) == [7, 6, 3, 8, 4, 0, 1, 2, 5, 9]
    assert records(order, range(10, 20)) == [2, 7, 8, 6, 9, 1, 5, 4, 0, 3]


def test_a_map_gives_what_eager_execution_gives():
    order = shuffled(num_clips=11, batch_size=3, seed=5)
    mapped = tf.data.Dataset.range(40).map(lambda p: locate(order, p, ZERO)[:2])
    eager = [locate(order, tf.constant(p, tf.int64), ZERO)[:2] for p in range(40)]
    assert [(int(e), int(r)) for e, r in mapped] == [(int(e), int(r)) for e, r in eager]


def test_training_leaves_out_another_tail_each_epoch():
    order = shuffled(num_clips=10, batch_size=4)
    assert order.steps_per_epoch == 2
    left_out = [
        frozenset(range(10)) - set(records(order, range(8 * e, 8 * e + 8)))
        for e in range(6)
    ]
    assert all(len(tail) == 2 for tail in left_out)
    assert len(set(left_out)) > 1


def test_evaluation_goes_in_file_order_and_pads_the_last_step():
    order = Order(num_clips=5, batch_size=4, shuffled=False, drop_remainder=False)
    assert order.steps_per_epoch == 2
    found = [locate(order, tf.constant(p, tf.int64), ZERO) for p in range(16)]
    assert [int(e) for e, _, _ in found] == [0] * 8 + [1] * 8
    assert [int(r) for _, r, _ in found] == [0, 1, 2, 3, 4, 4, 4, 4] * 2
    assert [float(w) for _, _, w in found] == [1, 1, 1, 1, 1, 0, 0, 0] * 2


def test_a_first_epoch_moves_the_order():
    order = shuffled(num_clips=20, batch_size=20)
    later = tf.constant(2, tf.int64)
    assert records(order, range(20), later) == records(order, range(40, 60))
    # The numbers that input_fn draws for later iterations lie above 2**32.
    high = records(order, range(20), tf.constant(5 * 2**32, tf.int64))
    assert sorted(high) == list(range(20))
    assert high != records(order, range(20))


def test_no_two_clips_share_a_seed():
    epochs = tf.constant([0, 0, 1, 1, 2**32, 2**32], tf.int64)
    numbers = tf.constant([0, 1, 0, 1, 0, 1], tf.int64)
    seeds = [
        tuple(row) for s in (0, 1) for row in clip_seed(s, epochs, numbers).numpy()
    ]
    assert len(set(seeds)) == 12


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"seed": -1}, r"seed must be in \[0, 2\*\*31\), got -1"),
        ({"seed": 2**31}, "seed must be in"),
        ({"batch_size": 11}, "batch_size 11 is larger than the split, which has 10"),
    ],
)
def test_an_order_without_steps_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        shuffled(**{"num_clips": 10, "batch_size": 5} | options)


# A split of one run, some runs with a rest, windows that do and do not divide it.
@pytest.mark.parametrize(
    ("num_clips", "window"), [(5, 3), (70, 16), (70, 100), (131, 40)]
)
@pytest.mark.parametrize("epoch", [0, 3])
def test_a_windowed_epoch_is_a_permutation_too(num_clips, window, epoch):
    order = shuffled(num_clips=num_clips, batch_size=1, window_size=window)
    start = epoch * num_clips
    seen = records(order, range(start, start + num_clips))
    assert sorted(seen) == list(range(num_clips))
    assert seen != sorted(seen)


def test_a_window_holds_runs_of_neighbours():
    order = shuffled(num_clips=1024, batch_size=1, window_size=64)
    assert order.run_length == 16
    for window in (0, 7):
        seen = sorted(records(order, range(64 * window, 64 * window + 64)))
        starts = seen[::16]
        assert seen == [start + k for start in starts for k in range(16)]
        assert all(start % 16 == 0 for start in starts)


def test_the_windowed_order_is_pinned():
    # As above: it is what an interrupted run of order="sequential" goes on with.
    order = shuffled(num_clips=17, batch_size=1, window_size=8, seed=7)
    assert records(order, range(17)) == [
        15,
        12,
        10,
        11,
        7,
        14,
        6,
        13,
        2,
        4,
        9,
        8,
        5,
        3,
        1,
        0,
        16,
    ]
