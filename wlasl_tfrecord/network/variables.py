"""The variables of networks and optimizers: their values, and names that last."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

__all__ = ["optimizer_names", "read_variable", "variable_names"]


def read_variable(variable: Any) -> NDArray[Any]:
    """Copies the value of a variable of Keras or TensorFlow, replicated or not."""
    value = getattr(variable, "value", variable)
    value = variable if callable(value) else value
    return np.copy(tf.convert_to_tensor(value).numpy())


def variable_names(variables: Iterable[Any]) -> list[str]:
    """Names the variables of a network by their paths.

    Every build of the same network has the same names, in any process. Keras counts the
    layers that have no name of their own through a whole process: what is `lstm/bias`
    in its first network is `lstm_1/bias` in the second. Here they are counted within
    the network. Two variables of one path, as in a network with two backbones of one
    kind, are told apart by a number.

    Args:
        variables: All variables of the network, in Keras's order.

    Returns:
        One name for each, no two alike.

    >>> variables = [keras.Variable(0.0, name="bias_7"), keras.Variable(0.0, name="b")]
    >>> variable_names(variables)
    ['bias', 'b']
    """
    numbers: dict[str, dict[str, int]] = defaultdict(dict)

    def counted(name: str) -> str:
        stem = re.sub(r"_\d+$", "", name)
        number = numbers[stem].setdefault(name, len(numbers[stem]))
        return f"{stem}_{number}" if number else stem

    return _distinct(
        "/".join(counted(part) for part in variable.path.split("/"))
        for variable in variables
    )


def optimizer_names(
    optimizer: keras.optimizers.Optimizer, names: Mapping[str, str]
) -> list[str]:
    """Names the variables of an optimizer by those of the network.

    Args:
        optimizer: A built optimizer.
        names: Path of a variable of the network -> its name, from `variable_names`.

    Returns:
        One name for each of `optimizer.variables`: that of the network's variable and
        what the optimizer keeps of it (`lstm/bias/momentum`), or what it counts.
    """
    # Keras joins both with underscores; a longer path may begin like a shorter one.
    joined = {path.replace("/", "_"): name for path, name in names.items()}
    longest_first = sorted(joined, key=len, reverse=True)

    def named(variable: Any) -> str:
        own = variable.path.partition("/")[2] or variable.path
        for path in longest_first:
            if own.startswith(f"{path}_"):
                return f"{joined[path]}/{own[len(path) + 1 :]}"
        return own

    return _distinct(map(named, optimizer.variables))


def _distinct(names: Iterable[str]) -> list[str]:
    """Numbers names that occur more than once, in their order."""
    seen: dict[str, int] = defaultdict(int)
    distinct: list[str] = []
    for name in names:
        seen[name] += 1
        distinct.append(f"{name}#{seen[name]}" if seen[name] > 1 else name)
    return distinct
