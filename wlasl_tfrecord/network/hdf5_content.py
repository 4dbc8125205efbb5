"""What an HDF5 file holds, read in a process of its own with limits.

HDF5 loops without end on some damaged files, and takes all memory or crashes on others.
Nothing within a process can end that. So another process reads all of a file first, and
this one opens only what that one could read.
"""

import contextlib
import io
import json
import os
import resource
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from wlasl_tfrecord.errors import TrainingError
from wlasl_tfrecord.text import reason_of, shown, size_text

__all__ = ["MAX_EXPANSION", "SMALL_BYTES", "Hdf5Content", "main", "read_hdf5"]

# Weights are noise to a compressor. What expands further was made to fill a memory.
MAX_EXPANSION = 20
SMALL_BYTES = 2**20

# Seconds of a core: some, and those to expand a file of zeros that is as large.
_SECONDS, _SECONDS_PER_GIB = 10, 120
# What Python and its libraries take.
_PROCESS_BYTES = 2**30

_PROGRAM = (
    "import sys; sys.path[:] = {path!r}; "
    "from wlasl_tfrecord.network.hdf5_content import main; main(*sys.argv[1:])"
)


class Hdf5Content(NamedTuple):
    """What an HDF5 file holds.

    Attributes:
        num_weights: How many numbers its arrays have.
        config: The text of a model's configuration; None if it has none.
    """

    num_weights: int
    config: str | None


def read_hdf5(
    path: Path, file: BinaryIO, member: str = "", seconds: int | None = None
) -> Hdf5Content:
    """Reads all of a file of weights, in a process that may end or be ended.

    Args:
        path: Its path, for messages.
        file: The file, open.
        member: The member of a zip archive that is the HDF5 file; none by default.
        seconds: How long a core may be busy with it; by default, as its size needs.

    Raises:
        TrainingError: If it holds something else than arrays, or far more of them than
            it has bytes.
        OSError: If it is damaged.
    """
    num_bytes = os.fstat(file.fileno()).st_size
    if seconds is None:
        seconds = _SECONDS + num_bytes * _SECONDS_PER_GIB // 2**30
    done = subprocess.run(
        [
            *(sys.executable, "-c", _PROGRAM.format(path=sys.path)),
            *(os.fspath(path), str(file.fileno()), member, str(seconds)),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        pass_fds=[file.fileno()],
        # A thread a core for matrices that it never has would only cost its start.
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        # Ctrl-C goes to a whole group of processes; only this one handles it.
        start_new_session=True,
    )
    if done.returncode:
        is_slow = done.returncode in (-signal.SIGXCPU, -signal.SIGKILL)
        what = f"does not end within {seconds} s" if is_slow else "crashes"
        raise OSError(f"it is damaged: reading it {what}")
    found = json.loads(done.stdout)
    if "refused" in found:
        raise TrainingError(found["refused"])
    if "damaged" in found:
        raise OSError(found["damaged"])
    return Hdf5Content(**found)


def main(path: str, descriptor: str, member: str, seconds: str) -> None:
    """Reads a file, and prints what it holds, or why it does not, as JSON."""
    num_bytes = os.fstat(int(descriptor)).st_size
    # Of a zip archive the member, and the largest of its arrays.
    most_bytes = 2 * (SMALL_BYTES + MAX_EXPANSION * num_bytes)
    _limit(int(seconds), _PROCESS_BYTES + most_bytes)
    try:
        with open(f"/dev/fd/{descriptor}", "rb") as file:
            opened: BinaryIO = file
            if member:
                # Whole: a member cannot be read from back to front.
                opened = io.BytesIO(zipfile.ZipFile(file).read(member))
            found: dict[str, Any] = _read(Path(path), opened, num_bytes)._asdict()
    except TrainingError as error:
        found = {"refused": str(error)}
    except Exception as error:  # h5py has many
        found = {"damaged": reason_of(error)}
    print(json.dumps(found))


def _limit(seconds: int, memory_bytes: int) -> None:
    """Limits this process, as far as the system and its administrator let it."""
    limits = {"RLIMIT_CORE": 0, "RLIMIT_CPU": seconds}
    # Data, where the system counts it (Linux): address space would count every library.
    limits["RLIMIT_DATA" if sys.platform == "linux" else "RLIMIT_AS"] = memory_bytes
    for name, value in limits.items():
        number = getattr(resource, name)
        most = resource.getrlimit(number)[1]
        if most != resource.RLIM_INFINITY:
            value = min(value, most)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(number, (value, most))


def _read(path: Path, file: Any, num_bytes: int) -> Hdf5Content:
    """Checks the arrays of a file by their descriptions, and reads them if they are so.

    Args:
        path: The model file, for messages.
        file: The HDF5 file, open.
        num_bytes: The size of the model file.
    """
    import h5py

    with h5py.File(file, "r") as weights:
        arrays = []
        total = num_weights = 0
        for name, dataset in _datasets(path, weights):
            if dataset.external or dataset.is_virtual or dataset.dtype.hasobject:
                raise TrainingError(f"{path}: {shown(name)} is no array of numbers")
            total += dataset.nbytes
            num_weights += dataset.size
            if total > SMALL_BYTES + MAX_EXPANSION * num_bytes:
                raise TrainingError(
                    f"{path}: with {shown(name)} its arrays are at least "
                    f"{size_text(total)}, in a file of {size_text(num_bytes)}"
                )
            arrays.append(dataset)
        for dataset in arrays:
            _read_attributes(dataset)
            dataset[()]
        config = weights.attrs.get("model_config")
        text = config.decode() if isinstance(config, bytes) else config
        if not isinstance(text, str | None):
            raise OSError("its model_config is no text")
        return Hdf5Content(num_weights, text)


def _datasets(path: Path, weights: Any) -> Iterator[tuple[str, Any]]:
    """Yields the arrays of an HDF5 file; refuses links that lead elsewhere."""
    import h5py

    groups = [weights]
    # A group that is linked to twice could lead in a circle.
    seen = {hash(weights.id)}
    while groups:
        group = groups.pop()
        _read_attributes(group)
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise TrainingError(f"{path}: {shown(name)} is a link, not an array")
            value = group[name]
            if not isinstance(value, h5py.Group):
                yield f"{group.name}/{name}", value
            elif hash(value.id) not in seen:
                seen.add(hash(value.id))
                groups.append(value)


def _read_attributes(place: Any) -> None:
    for name in place.attrs:
        place.attrs[name]
