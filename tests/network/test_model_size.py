"""Descriptions of networks larger than any memory, refused before one is built."""

import json
import resource
import zipfile

import keras
import pytest

from wlasl_tfrecord.errors import TrainingError
from wlasl_tfrecord.network.model_file import check_model_file, opened_model
from wlasl_tfrecord.network.model_size import check_network_size
from wlasl_tfrecord.network.saving import load_network


@pytest.fixture(scope="module")
def network():
    frames = keras.Input((2, 8, 8, 3), dtype="uint8")
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255.0)(frames))
    x = keras.layers.Dense(3, activation="relu", name="wide")(x)
    x = keras.layers.Dropout(0.5, seed=3)(x)
    return keras.Model(frames, keras.layers.Dense(2, activation="softmax")(x))


def widen(path, units):
    """Lets the description of a network ask for a wider layer than it has."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    for layer in config["config"]["layers"]:
        layer.pop("build_config", None)  # the shapes that it had
        if layer["config"]["name"] == "wide":
            layer["config"]["units"] = units
    members["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, member in members.items():
            archive.writestr(name, member)


@pytest.mark.parametrize("units", [100_000_000, 10**9, 10**12])
def test_a_network_larger_than_memory_is_refused_before_it_is_built(
    network, tmp_path, units
):
    path = tmp_path / "model.keras"
    network.save(path)
    widen(path, units)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(
        TrainingError, match=r"describes a network of [\d,]+ weights, and holds 1,16\d"
    ):
        load_network(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 * 1024


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_a_network_as_large_as_its_file_is_loaded(network, tmp_path, suffix):
    path = tmp_path / f"model.{suffix}"
    network.save(path)
    assert load_network(path).count_params() == network.count_params()


def test_a_network_that_takes_for_ever_to_build_is_refused(network, tmp_path):
    path = tmp_path / "model.keras"
    network.save(path)
    with (
        opened_model(path) as file,
        pytest.raises(TrainingError, match=r"that is not built within 0 seconds"),
    ):
        check_network_size(path, check_model_file(file), seconds=0)
