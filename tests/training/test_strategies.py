"""Strategies: made once for the same devices."""


def test_a_strategy_of_the_same_devices_is_the_same():
    # A second one would number its collective operations like the first: a training of
    # other shapes in the same process failed with "Shape mismatch".
    from wlasl_tfrecord.training import strategies

    first = strategies.make_strategy("mirrored")
    assert strategies.make_strategy("mirrored") is first
