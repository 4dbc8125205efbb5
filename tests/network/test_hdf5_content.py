"""HDF5 files that cannot be read are refused, by whatever HDF5 does with them."""

import h5py
import pytest

from wlasl_tfrecord.network.hdf5_content import Hdf5Content, read_hdf5


@pytest.fixture
def path(tmp_path):
    """A file with one array, and a text that HDF5 keeps beside other texts."""
    path = tmp_path / "model.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("a/0", data=[1.0, 2.0])
        file.attrs["model_config"] = "{}" + " " * 500
    return path


def read(path, seconds=None):
    with open(path, "rb") as file:
        return read_hdf5(path, file, seconds=seconds)


def test_all_arrays_are_counted(path):
    assert read(path) == Hdf5Content(2, "{}" + " " * 500)


def test_reading_without_end_is_ended(path):
    content = path.read_bytes()
    place = content.index(b"{} ")
    # The length of the text, as if what follows began among zeros: HDF5 takes them for
    # something of no length, and what follows that, without an end.
    length = (512 + 64).to_bytes(8, "little")
    path.write_bytes(content[: place - 8] + length + content[place:])
    with pytest.raises(OSError, match="it is damaged: reading it does not end within"):
        read(path, seconds=1)


@pytest.mark.parametrize("start", [0, 40])
def test_what_is_no_file_of_hdf5_is_refused(path, start):
    content = path.read_bytes()
    path.write_bytes(content[:start] + b"\xff" * 16 + content[start + 16 :])
    with pytest.raises(OSError, match=r"\w"):
        read(path)


def test_a_configuration_that_is_no_text_is_refused(path):
    with h5py.File(path, "a") as file:
        file.attrs["model_config"] = [1, 2]
    with pytest.raises(OSError, match="its model_config is no text"):
        read(path)
