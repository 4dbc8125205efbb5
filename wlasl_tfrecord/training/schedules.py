"""Learning rates: the rate of a step as a function of its place in the phase.

The cosine is that of `keras.optimizers.schedules.CosineDecay` (a test compares them),
and still a function of our own: "plateau" depends on the validation, which a Keras
schedule cannot, a step that is skipped for an overflow counts here, and Keras's runs a
dozen operations on the device for each step, whose result this thread would wait for.
"""

import math
from typing import Literal, get_args

__all__ = ["SCHEDULES", "Schedule", "learning_rate_at"]

Schedule = Literal["cosine", "plateau", "constant"]
SCHEDULES: tuple[Schedule, ...] = get_args(Schedule)

# A twentieth of the steps to warm up, and a hundredth of the peak at the end, are what
# most published recipes for MobileNet-sized networks use.
_WARMUP_SHARE = 0.05
_FINAL_SHARE = 0.01


def learning_rate_at(
    schedule: Schedule, peak: float, step: int, num_steps: int, plateau_factor: float
) -> float:
    """Returns the learning rate of one step.

    Args:
        schedule: "cosine" warms up and falls to a hundredth; "plateau" warms up and
            falls by `plateau_factor`; "constant" stays at the peak.
        peak: Highest rate.
        step: Index of the step in the phase, from 0.
        num_steps: Number of steps in the phase.
        plateau_factor: Share of the peak that the plateaus so far have left.

    Reference:
        Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts",
        2017.

    >>> [round(learning_rate_at("cosine", 1.0, s, 100, 1.0), 2) for s in (0, 4, 52, 99)]
    [0.2, 1.0, 0.51, 0.01]
    """
    if schedule == "constant":
        return peak
    num_warmup = max(1, round(num_steps * _WARMUP_SHARE))
    warmup = min(1.0, (step + 1) / num_warmup)
    if schedule == "plateau":
        return peak * warmup * plateau_factor
    done = max(0, step - num_warmup) / max(1, num_steps - num_warmup)
    fall = (1 + math.cos(math.pi * min(1.0, done))) / 2
    return peak * warmup * (_FINAL_SHARE + (1 - _FINAL_SHARE) * fall)
