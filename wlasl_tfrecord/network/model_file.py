"""A model file is data: what it may contain, checked before Keras reads it.

A `.keras` or `.h5` file names the classes that Keras makes of it, and some of these run
code or read files: a Lambda layer, a SavedModel as a layer, a function by its name, a
class that a program has registered. Keras's `safe_mode` refuses some of them, in some
releases and formats. Here only Keras's own layers, operations and their parts pass.

Reference:
    CVE-2025-1550, CVE-2025-9905, CVE-2025-9906, CVE-2025-12058, CVE-2026-0897,
    CVE-2026-1462.
"""

import contextlib
import importlib.metadata
import json
import os
import re
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from wlasl_tfrecord.errors import TrainingError, WlaslError
from wlasl_tfrecord.files import open_regular
from wlasl_tfrecord.network.hdf5_content import (
    MAX_EXPANSION,
    SMALL_BYTES,
    read_hdf5,
)
from wlasl_tfrecord.text import shown, size_text

__all__ = [
    "ForeignClassError",
    "ModelContent",
    "OpenModel",
    "check_keras_version",
    "check_model_file",
    "is_safe_keras",
    "opened_model",
    "opened_weights",
]

# Earlier releases run code of a crafted model file, or read other files for it. 3.13
# and 3.14.0 lack fixes that are in 3.12.2. setup.cfg asks for the same.
_KERAS_FLOOR = (3, 12, 2)
_KERAS_LATER_FLOOR = (3, 14, 1)

_WEIGHTS = "model.weights.h5"
# Member of a .keras file -> how large it may be, expanded. Those of a large network
# have 200 KB of config.json.
_MEMBER_BYTES = {"metadata.json": 2**20, "config.json": 2**26, _WEIGHTS: 2**36}

# The parts of Keras whose classes only compute.
_MODULES = (
    "activations",
    "constraints",
    "dtype_policies",
    "initializers",
    "layers",
    "models",
    "ops",
    "regularizers",
)
# Those at the top of Keras.
_TOP_CLASSES = frozenset({"DTypePolicy", "Model", "Sequential"})
# Those that run code that the file brings along, or that read other files.
_UNSAFE_CLASSES = frozenset(
    {
        "FlaxLayer",
        "IntegerLookup",
        "JaxLayer",
        "Lambda",
        "StringLookup",
        "TFSMLayer",
        "TextVectorization",
        "TorchModuleWrapper",
    }
)
# What TensorFlow allows in the names of operations, which layers' names become.
_NAME = re.compile(r"[A-Za-z0-9_.\\/>-]*")
# TensorFlow ends the process where a value has more than 254.
_MAX_DIMENSIONS = 32
# Values that Keras writes as if they were objects.
_VALUES = frozenset(
    {
        "__bytes__",
        "__ellipsis__",
        "__keras_tensor__",
        "__numpy__",
        "__slice__",
        "__tensor__",
        "__tuple__",
    }
)


class ForeignClassError(TrainingError):
    """A model file whose size is right names a class that Keras does not have.

    Attributes:
        config: The description of the network.
    """

    def __init__(self, message: str, config: Any) -> None:
        super().__init__(message)
        self.config = config


class OpenModel(NamedTuple):
    """A model file that is open.

    Attributes:
        path: Its path as the user names it, for messages.
        place: A path that leads to the open file, whatever `path` leads to by now.
    """

    path: Path
    place: Path


class ModelContent(NamedTuple):
    """What a model file holds.

    Attributes:
        config: The description of the network.
        num_weights: How many numbers its arrays have.
    """

    config: Any
    num_weights: int


def check_keras_version() -> None:
    """Refuses a Keras that cannot load a model of somebody else safely.

    Raises:
        WlaslError: If the installed one is too old, or there is none.
    """
    try:
        version = importlib.metadata.version("keras")
    except importlib.metadata.PackageNotFoundError as error:
        raise WlaslError("there is no keras; pip install wlasl-tfrecord") from error
    if not is_safe_keras(version):
        raise WlaslError(
            f"keras {version} may run code of a crafted model file; update it: "
            "pip install --upgrade keras"
        )


def is_safe_keras(version: str) -> bool:
    """Returns whether a release of Keras has the known holes closed.

    >>> [is_safe_keras(v) for v in ("3.11.3", "3.12.4", "3.13.2", "3.15.0")]
    [False, True, False, True]
    """
    numbers = tuple(map(int, re.findall(r"\d+", version)[:3]))
    if numbers[:2] == _KERAS_FLOOR[:2]:
        return numbers >= _KERAS_FLOOR
    return numbers >= _KERAS_LATER_FLOOR


@contextlib.contextmanager
def opened_model(path: Path) -> Iterator[OpenModel]:
    """Opens a model file once, so that what is checked is what Keras loads.

    Keras takes paths alone. If another file got the name in the meantime, it would load
    that one. With the path of here it loads this one, or refuses it.

    Raises:
        TrainingError: If it is no regular file, or cannot be opened.
    """
    with contextlib.ExitStack() as held:
        try:
            file = held.enter_context(open(path, "rb", opener=open_regular))
        except OSError as error:
            raise TrainingError(
                f"cannot load {path} ({error.strerror}); name another file"
            ) from error
        directory = held.enter_context(tempfile.TemporaryDirectory())
        # Under its own name: Keras chooses a format by it.
        place = Path(directory, path.name)
        place.symlink_to(f"/dev/fd/{file.fileno()}")
        yield OpenModel(path, place)


@contextlib.contextmanager
def opened_weights(path: str | os.PathLike[str]) -> Iterator[str]:
    """Opens a file of weights, checks it, and yields a path for Keras to load it from.

    For recipes, whose weights may come from anybody.

    Args:
        path: A `.weights.h5`, `.h5` or `.keras` file.

    Raises:
        TrainingError: If it cannot be opened, or holds something else than arrays, or
            far more of them than it has bytes.
        Exception: Whatever `zipfile` and `json` raise for a damaged file, or OSError.
    """
    with opened_model(Path(path)) as model:
        # Keras would read other files by the names in a .weights.json.
        if model.path.suffix not in (".h5", ".hdf5", ".keras"):
            raise TrainingError(
                f"cannot load {model.path}; weights of Keras are a .weights.h5, .h5 or "
                ".keras file"
            )
        with open(model.place, "rb") as file:
            _check_file(model.path, file)
        yield str(model.place)


def check_model_file(model: OpenModel) -> ModelContent:
    """Checks that a model file holds nothing but layers, and expands to no bomb.

    Args:
        model: A `.keras` or `.h5` file, open.

    Returns:
        What it holds.

    Raises:
        ForeignClassError: If all is well but a class that is not known.
        TrainingError: If it holds something else.
        Exception: Whatever `zipfile` and `json` raise for a damaged file, or OSError.
    """
    path = model.path
    with open(model.place, "rb") as file:
        content = _check_file(path, file)
    if content.config is None:
        raise TrainingError(f"{path} has weights, but no model; name a whole model")
    for value in _mappings(path, content.config):
        if "class_name" in value:
            _check_class(path, value, content.config)
            _check_name(path, value.get("config"))
    return content


def _check_file(path: Path, file: BinaryIO) -> ModelContent:
    """Checks the sizes in a file, and that it holds arrays alone.

    Returns:
        What it holds; None as the configuration if it has none.
    """
    if path.suffix != ".keras":
        num_weights, text = read_hdf5(path, file)
        return ModelContent(None if text is None else json.loads(text), num_weights)
    with zipfile.ZipFile(file) as archive:
        _check_members(path, archive)
        config = json.loads(archive.read("config.json"))
    # Keras does not read it, as we do not compile.
    config.pop("compile_config", None)
    return ModelContent(config, read_hdf5(path, file, _WEIGHTS).num_weights)


def _check_members(path: Path, archive: zipfile.ZipFile) -> None:
    """Checks the names and the expanded sizes of the members of a `.keras` file."""
    names = [member.filename for member in archive.infolist()]
    if sorted(names) != sorted(_MEMBER_BYTES):
        raise TrainingError(
            f"{path} is no model file of Keras: it holds {shown(names)}, not "
            f"{', '.join(_MEMBER_BYTES)}"
        )
    for member in archive.infolist():
        most = min(
            _MEMBER_BYTES[member.filename],
            SMALL_BYTES + MAX_EXPANSION * member.compress_size,
        )
        if member.file_size > most:
            raise TrainingError(
                f"{path}: {member.filename} expands from "
                f"{size_text(member.compress_size)} to {size_text(member.file_size)}; "
                "no model file of Keras does"
            )


def _mappings(path: Path, config: Any) -> Iterator[dict[str, Any]]:
    """Yields all mappings in a configuration, at any depth.

    Raises:
        TrainingError: If it has an array of too many dimensions.
    """
    values = [(config, 0)]
    while values:
        value, num_dimensions = values.pop()
        if num_dimensions > _MAX_DIMENSIONS:
            raise TrainingError(
                f"{path} has lists in lists, more than {_MAX_DIMENSIONS} deep"
            )
        if isinstance(value, dict):
            yield value
            values.extend((one, 0) for one in value.values())
        elif isinstance(value, list):
            values.extend((one, num_dimensions + 1) for one in value)


def _check_class(path: Path, value: dict[str, Any], config: Any) -> None:
    """Checks that a mapping of which Keras makes an object names a harmless class."""
    name, module = value["class_name"], value.get("module")
    registered = value.get("registered_name")
    # Keras looks these up first, a function by its own name.
    own = value.get("config") if name == "function" else registered
    if not _is_harmless(name, module, registered) and not _is_registered(own):
        raise ForeignClassError(
            f"{path} holds {shown(name)} of {shown(module)}, which could run code of "
            "the file; only models of Keras's own layers are loaded",
            config,
        )


def _check_name(path: Path, config: Any) -> None:
    """Checks that a layer has a name under which TensorFlow can compute it."""
    name = config.get("name") if isinstance(config, dict) else None
    if name is not None and not (isinstance(name, str) and _NAME.fullmatch(name)):
        raise TrainingError(f"{path} has a layer of the name {shown(name)}")


def _is_harmless(name: Any, module: Any, registered: Any) -> bool:
    """Returns whether a class is one of Keras's that only compute."""
    if not isinstance(name, str) or name in _UNSAFE_CLASSES:
        return False
    if name in _VALUES:
        return True
    # A name in lower case is a function, and could be any of Keras's tools.
    if not name[:1].isupper():
        return False
    # Keras looks a registered name up first: as `package>class` it is somebody's own.
    if registered not in (None, name):
        return False
    if module is None or (module == "keras" and name in _TOP_CLASSES):
        return True
    if not isinstance(module, str) or not module.startswith("keras."):
        return False
    parts = module.removeprefix("keras.").removeprefix("src.").split(".")
    return parts[0] in _MODULES


def _is_registered(name: Any) -> bool:
    """Returns whether the program itself has registered a class by that name."""
    import keras

    known = keras.saving.get_custom_objects()
    return isinstance(name, str) and name in known
