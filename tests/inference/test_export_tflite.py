import numpy as np
import pytest
import tensorflow as tf
from drawn_shards import drawn_frames

from wlasl_tfrecord.inference import export_tflite
from wlasl_tfrecord.inference.trained_model import load_model


@pytest.fixture(scope="module")
def model(trained_run):
    return load_model(trained_run)


@pytest.fixture(scope="module")
def int8(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("int8")
    shape = (4, 32, 32, 3)
    clips = [{"frames": drawn_frames(n, shape)[None]} for n in range(0, 40, 4)]
    content = export_tflite.tflite_bytes(model, "int8", folder / "scratch", clips)
    path = folder / "model.tflite"
    path.write_bytes(content)
    return path


@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")
def test_int8_computes_everything_but_the_ends_in_8_bits(int8):
    interpreter = tf.lite.Interpreter(
        str(int8),
        experimental_op_resolver_type=(
            tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        ),
    )
    interpreter.allocate_tensors()
    dtypes = {t["index"]: t["dtype"] for t in interpreter.get_tensor_details()}
    computed = {}
    for op in interpreter._get_ops_details():
        dtype = dtypes.get(op["outputs"][0]) if len(op["outputs"]) else None
        computed.setdefault(op["op_name"], set()).add(dtype)
    for name in ("CONV_2D", "DEPTHWISE_CONV_2D", "ADD", "FULLY_CONNECTED", "TANH"):
        assert computed[name] == {np.int8}, name
    # In steps of 1/256, improbable glosses would all have probability 0.
    assert computed["SOFTMAX"] == {np.float32}
    # A loop's body would be in float32.
    assert "WHILE" not in computed


def test_probabilities_of_int8_still_sum_to_one(model, int8):
    clips = np.stack([drawn_frames(n, (4, 32, 32, 3)) for n in range(0, 40, 4)])
    answers = export_tflite.tflite_runner(int8)(clips)
    np.testing.assert_allclose(answers.sum(1), 1, atol=1e-5)
    # Weights that nobody trained, and amplified, show what 8 bits cost at its worst.
    # The clips are told apart, as by the model.
    assert np.abs(answers - answers[0]).max() > 0.1


def test_the_model_itself_keeps_its_loop(model, int8):
    assert not model.network.get_layer("temporal").unroll
