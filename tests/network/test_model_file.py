"""Crafted model files: none of them is loaded, and nothing of them is run."""

import importlib.metadata
import json
import os
import zipfile

import h5py
import keras
import numpy as np
import pytest

from wlasl_tfrecord.errors import TrainingError, WlaslError
from wlasl_tfrecord.network import model_file, saving
from wlasl_tfrecord.network.recipes import load_recipe
from wlasl_tfrecord.network.saving import load_network
from wlasl_tfrecord.shard_format.clips import ClipSpec


@pytest.fixture(scope="module")
def model():
    """A small network with a nested one, of layers and of an operation."""
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "relu")])
    inputs = keras.Input((2, 2))
    x = inner(keras.ops.reshape(inputs, (-1, 4)))
    return keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(x))


@pytest.fixture
def keras_file(model, tmp_path):
    model.save(tmp_path / "model.keras")
    return tmp_path / "model.keras"


def rewrite(path, members, compression=zipfile.ZIP_STORED):
    """Writes a .keras file with other members: name -> bytes, or None for without."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in {**content, **members}.items():
            if data is not None:
                archive.writestr(name, data)


def edit_config(path, edit):
    """Changes the first Dense layer in the config.json of a .keras file."""
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read("config.json"))
    layer = next(
        layer for layer in config["config"]["layers"] if layer["class_name"] == "Dense"
    )
    edit(layer)
    rewrite(path, {"config.json": json.dumps(config).encode()})


def test_a_model_of_keras_layers_and_operations_is_loaded(model, keras_file):
    loaded = load_network(keras_file)
    values = np.ones((3, 2, 2), np.float32)
    np.testing.assert_allclose(loaded.predict_on_batch(values), model(values), 1e-6)


def test_a_compiled_model_is_loaded_without_what_it_was_compiled_with(tmp_path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    model.compile("adam", keras.losses.MeanSquaredError())
    model.save(tmp_path / "model.keras")
    assert not load_network(tmp_path / "model.keras").compiled


# The kinds of the advisories, and what resembles them.
CRAFTED = [
    {"class_name": "Lambda", "module": "keras.layers"},
    {"class_name": "Lambda"},
    {"class_name": "TFSMLayer", "module": "keras.layers"},
    {"class_name": "StringLookup", "module": "keras.layers"},
    {"class_name": "TorchModuleWrapper", "module": "keras.src.utils.torch_utils"},
    # CVE-2025-1550: any function of any module.
    {"class_name": "function", "module": "os", "registered_name": "system"},
    {"class_name": "system", "module": "os", "registered_name": "system"},
    {"class_name": "Popen", "module": "subprocess", "registered_name": None},
    # CVE-2025-9906: a tool of Keras's own that switches its safe mode off.
    {"class_name": "function", "module": "keras.config"},
    {"class_name": "enable_unsafe_deserialization", "module": "keras.config"},
    {"class_name": "load_model", "module": "keras.models"},
    {"class_name": "__lambda__"},
    {"class_name": "__typespec__", "module": "tensorflow"},
    {"class_name": "Dense", "module": "keras_evil.layers"},
    {"class_name": "Dense", "module": ["keras.layers"]},
    {"class_name": "Dense", "module": "keras.layers", "registered_name": "mine>Dense"},
    {"class_name": ["Dense"], "module": "keras.layers"},
    {"class_name": "", "module": "keras.layers"},
]


@pytest.mark.parametrize("crafted", CRAFTED)
@pytest.mark.parametrize("place", ["layer", "inside"])
def test_a_class_that_could_run_code_is_refused(keras_file, crafted, place):
    def edit(layer):
        if place == "layer":
            layer.update({"registered_name": None, **crafted})
        else:
            layer["config"]["bias_initializer"] = {**crafted, "config": {}}

    edit_config(keras_file, edit)
    with pytest.raises(
        TrainingError, match="could run code of the file; only models of Keras's own"
    ):
        load_network(keras_file)


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_a_lambda_layer_is_not_run(tmp_path, suffix):
    inputs = keras.Input((2,))
    canary = str(tmp_path / "canary")
    # The function is stored as its bytecode.
    outputs = keras.layers.Lambda(
        lambda x, canary=canary: (__import__("os").mkdir(canary), x)[1],
        output_shape=(2,),
    )(inputs)
    path = tmp_path / f"model.{suffix}"
    keras.Model(inputs, outputs).save(path)
    if os.path.isdir(canary):
        os.rmdir(canary)
    with pytest.raises(TrainingError, match=r"model\.\w+ holds 'Lambda' of"):
        load_network(path)
    assert not os.path.exists(canary)


def test_a_class_that_the_program_registered_is_its_own(tmp_path):
    @keras.saving.register_keras_serializable(package="mine")
    class Twice(keras.layers.Layer):
        def call(self, inputs):
            return 2 * inputs

    path = tmp_path / "model.keras"
    keras.Sequential([keras.Input((2,)), Twice()]).save(path)
    try:
        assert load_network(path).layers[0].name.startswith("twice")
    finally:
        del keras.saving.get_custom_objects()["mine>Twice"]
    with pytest.raises(TrainingError, match="holds 'Twice' of"):
        load_network(path)


def test_other_members_are_refused(keras_file):
    rewrite(keras_file, {"assets/vocabulary.txt": b"/etc/passwd"})
    with pytest.raises(TrainingError, match=r"holds \[.*'assets/vocabulary\.txt'.*\]"):
        load_network(keras_file)


def test_a_file_without_weights_is_refused(keras_file):
    rewrite(keras_file, {"model.weights.h5": None})
    with pytest.raises(TrainingError, match="is no model file of Keras: it holds"):
        load_network(keras_file)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_is_there_twice_is_refused(keras_file):
    with zipfile.ZipFile(keras_file, "a") as archive:
        archive.writestr("config.json", b"{}")
    with pytest.raises(TrainingError, match="is no model file of Keras: it holds"):
        load_network(keras_file)


@pytest.mark.parametrize("name", ["config.json", "metadata.json", "model.weights.h5"])
def test_a_member_that_expands_beyond_reason_is_not_read(keras_file, name):
    rewrite(keras_file, {name: bytes(30 * 2**20)}, zipfile.ZIP_DEFLATED)
    with pytest.raises(
        TrainingError, match=rf"{name} expands from .* KiB to 30\.0 MiB; no model file"
    ):
        load_network(keras_file)


def weights_with(tmp_path, add):
    """Returns the bytes of an HDF5 file to which something is added."""
    path = tmp_path / "weights.h5"
    with h5py.File(path, "w") as file:
        add(file)
    return path.read_bytes()


def huge_array(file):
    file.create_dataset("layers/dense/vars/0", (10**6, 10**6), "f4", chunks=(100, 100))


def compressed_zeros(file):
    file.create_dataset("0", data=np.zeros(2**24, "f4"), compression="gzip")


@pytest.mark.parametrize("add", [huge_array, compressed_zeros])
def test_an_array_that_expands_beyond_reason_is_not_read(keras_file, tmp_path, add):
    rewrite(keras_file, {"model.weights.h5": weights_with(tmp_path, add)})
    with pytest.raises(
        TrainingError, match=r"its arrays are at least .*, in a file of .* KiB"
    ):
        load_network(keras_file)
    (tmp_path / "weights.h5").rename(tmp_path / "model.h5")
    with pytest.raises(TrainingError, match=r"model\.h5: with .* its arrays are"):
        load_network(tmp_path / "model.h5")


def soft_link(file):
    file["0"] = h5py.SoftLink("/elsewhere")


def external_link(file):
    file["0"] = h5py.ExternalLink("/etc/passwd", "/")


def external_storage(file):
    file.create_dataset("0", (4,), "u1", external=[("/etc/passwd", 0, 4)])


def virtual(file):
    layout = h5py.VirtualLayout((4,), "u1")
    layout[:] = h5py.VirtualSource("/etc/other.h5", "0", (4,))
    file.create_virtual_dataset("0", layout)


def texts(file):
    file.create_dataset("0", data=["a" * 100])


@pytest.mark.parametrize(
    ("add", "message"),
    [
        (soft_link, "'0' is a link, not an array"),
        (external_link, "'0' is a link, not an array"),
        (external_storage, "'//0' is no array of numbers"),
        (virtual, "'//0' is no array of numbers"),
        (texts, "'//0' is no array of numbers"),
    ],
)
def test_weights_that_lie_elsewhere_are_refused(keras_file, tmp_path, add, message):
    rewrite(keras_file, {"model.weights.h5": weights_with(tmp_path, add)})
    with pytest.raises(TrainingError, match=message):
        load_network(keras_file)


def test_groups_in_a_circle_end(keras_file, tmp_path):
    def circle(file):
        file.create_group("a")["b"] = file["/"]

    rewrite(keras_file, {"model.weights.h5": weights_with(tmp_path, circle)})
    with model_file.opened_model(keras_file) as file:
        model_file.check_model_file(file)


def test_weights_alone_are_no_model(tmp_path):
    weights_with(tmp_path, lambda file: file.create_dataset("0", data=[1.0]))
    with pytest.raises(TrainingError, match=r"weights\.h5 has weights, but no model"):
        load_network(tmp_path / "weights.h5")


@pytest.mark.parametrize(
    "content", [b"", b"<html>404</html>", b"PK\x03\x04" + bytes(100)]
)
@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_what_is_no_model_file_is_one_line(tmp_path, content, suffix):
    path = tmp_path / f"model.{suffix}"
    path.write_bytes(content)
    with pytest.raises(
        TrainingError, match=r"cannot load .*model\.\w+ \(.*train again"
    ):
        load_network(path)


@pytest.mark.parametrize(
    "metadata", [b'{"keras_version": 7}', b"[" * 200_000, b'{"keras_version": "x"}']
)
def test_a_version_that_is_none_is_one_line(keras_file, metadata):
    rewrite(keras_file, {"config.json": b"{", "metadata.json": metadata})
    with pytest.raises(TrainingError, match=r"cannot load .*; train again"):
        load_network(keras_file)


def test_nesting_without_end_is_one_line(keras_file):
    rewrite(keras_file, {"config.json": b"[" * 200_000})
    with pytest.raises(TrainingError, match=r"cannot load .*recursion"):
        load_network(keras_file)


def test_an_array_of_hundreds_of_dimensions_is_one_line(keras_file):
    def edit(layer):
        value = 0.0
        for _ in range(300):
            value = [value]
        initializer = {"class_name": "Constant", "config": {"value": value}}
        layer["config"]["bias_initializer"] = {
            "module": "keras.initializers",
            **initializer,
        }

    edit_config(keras_file, edit)
    # TensorFlow would end the process.
    with pytest.raises(TrainingError, match="lists in lists, more than 32 deep"):
        load_network(keras_file)


@pytest.mark.parametrize("name", ["a\nb", "a b", 7, ["a"]])
def test_a_name_that_cannot_be_computed_is_one_line(keras_file, name):
    edit_config(keras_file, lambda layer: layer["config"].update(name=name))
    with pytest.raises(TrainingError, match=r"has a layer of the name ['7\[]"):
        load_network(keras_file)


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_what_was_checked_is_what_is_loaded(model, tmp_path, monkeypatch, suffix):
    path, other = tmp_path / f"model.{suffix}", tmp_path / f"other.{suffix}"
    model.save(path)
    keras.Sequential([keras.Input((2, 2)), keras.layers.Flatten()]).save(other)

    def check_and_replace(*_):
        other.replace(path)

    monkeypatch.setattr(saving, "check_network_size", check_and_replace)
    if suffix == "keras":
        assert load_network(path).count_params() == model.count_params()
    else:
        # HDF5 wants to know the name of its file, and this one has none any more.
        with pytest.raises(TrainingError, match=r"cannot load .*model\.h5 \("):
            load_network(path)
    assert not other.exists()


def test_a_pipe_is_no_model(tmp_path):
    os.mkfifo(tmp_path / "model.keras")
    with pytest.raises(TrainingError, match=r"cannot load .* \(not a regular file\)"):
        load_network(tmp_path / "model.keras")


@pytest.mark.parametrize(
    ("name", "forge", "message"),
    [
        ("a.weights.h5", external_link, "'0' is a link, not an array"),
        ("a.h5", soft_link, "'0' is a link, not an array"),
        ("a.hdf5", external_storage, "'//0' is no array of numbers"),
        ("a.weights.h5", compressed_zeros, "its arrays are at least "),
        ("a.weights.json", texts, "weights of Keras are a .weights.h5, .h5 or"),
        ("a.weights.h5", None, r"cannot load .* \(not a regular file\)"),
    ],
)
def test_crafted_weights_of_a_backbone_are_not_read(tmp_path, name, forge, message):
    path = tmp_path / name
    if forge is None:
        os.mkfifo(path)
    else:
        path.write_bytes(weights_with(tmp_path, forge))
    with pytest.raises(TrainingError, match=message), model_file.opened_weights(path):
        pytest.fail("they were handed out")


def test_the_default_recipe_reads_no_crafted_weights(tmp_path):
    clip = ClipSpec(num_frames=2, height=32, width=32)
    path = tmp_path / "a.weights.h5"
    path.write_bytes(weights_with(tmp_path, external_link))
    options = {"weights": str(path), "alpha": 0.35}
    with pytest.raises(TrainingError, match="a link, not an array"):
        load_recipe().build(clip, 2, options)


@pytest.mark.parametrize(
    ("version", "is_safe"),
    [
        ("2.15.0", False),
        ("3.9.0", False),
        ("3.11.3", False),
        ("3.12.1", False),
        ("3.12.2", True),
        ("3.13.2", False),
        ("3.14.0", False),
        ("3.14.1", True),
        ("3.15.0rc1", True),
        ("4.0", True),
    ],
)
def test_a_keras_with_a_known_hole_is_refused(monkeypatch, version, is_safe):
    monkeypatch.setattr("importlib.metadata.version", lambda _: version)
    if is_safe:
        model_file.check_keras_version()
    else:
        with pytest.raises(WlaslError, match=rf"keras {version} may run code of a"):
            model_file.check_keras_version()


def test_no_keras_at_all_is_one_line(monkeypatch):
    def no_version(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.version", no_version)
    with pytest.raises(WlaslError, match="there is no keras; pip install"):
        model_file.check_keras_version()
