"""Learning rates: the numbers of Keras's own schedule, and plateaus."""

import numpy as np
import pytest

from wlasl_tfrecord.training.schedules import learning_rate_at


@pytest.mark.parametrize("num_steps", [1, 7, 100, 1000])
def test_the_cosine_is_that_of_keras(num_steps):
    import keras

    num_warmup = max(1, round(num_steps * 0.05))
    peak = 0.01
    # Ours begins at a rate above 0, where Keras wastes a step on 0, so both meet at the
    # peak with one step's difference.
    theirs = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0,
        warmup_target=peak,
        warmup_steps=num_warmup,
        decay_steps=max(1, num_steps - num_warmup),
        alpha=0.01,
    )
    for step in range(num_steps):
        theirs_at = step + 1 if step < num_warmup else step
        ours = learning_rate_at("cosine", peak, step, num_steps, 1.0)
        assert ours == pytest.approx(float(np.asarray(theirs(theirs_at))), rel=2e-5)


def test_a_plateau_scales_what_is_warmed_up():
    rates = [learning_rate_at("plateau", 1.0, s, 100, 0.5) for s in (0, 4, 99)]
    assert rates == pytest.approx([0.1, 0.5, 0.5])


def test_a_constant_rate_is_the_peak_from_the_first_step():
    assert learning_rate_at("constant", 0.3, 0, 100, 1.0) == 0.3
