"""The bounds of what a recipe may be asked for.

A run folder may come from somebody else, and its options decide how much memory its
network takes before there are any weights to compare it with.
"""

from wlasl_tfrecord.errors import RecipeError

__all__ = [
    "MAX_BLOCKS",
    "MAX_KERNEL_SIZE",
    "MAX_UNITS",
    "check_shares",
    "check_whole_numbers",
]

# Far above what any sign needs: an LSTM of 4,096 units has 130 million weights.
MAX_UNITS = 4096
MAX_BLOCKS = 32
MAX_KERNEL_SIZE = 255


def check_shares(**options: object) -> None:
    """Refuses shares of what a training step leaves out that are none, or all.

    Raises:
        RecipeError: Names the option, its value and its range.
    """
    for name, value in options.items():
        if not isinstance(value, int | float) or not 0 <= value < 1:
            raise RecipeError(f"{name} must be at least 0 and below 1, got {value!r}")


def check_whole_numbers(**options: tuple[object, int, int]) -> None:
    """Refuses options that are no whole numbers, or out of range.

    Args:
        **options: By name: the value, the least and the most that it may be.

    Raises:
        RecipeError: Names the option, its value and its range.
    """
    for name, (value, least, most) in options.items():
        # True is a number to Python.
        if not isinstance(value, int) or isinstance(value, bool):
            raise RecipeError(f"{name} must be a whole number, got {value!r}")
        if not least <= value <= most:
            raise RecipeError(f"{name} must be between {least} and {most}, got {value}")
