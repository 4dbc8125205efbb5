"""The training step: alike for any number of replicas, and unharmed by an overflow."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from checkout import CHECKOUT


def batch():
    from wlasl_tfrecord.input_pipeline.elements import Batch

    random = np.random.default_rng(0)
    return Batch(
        inputs=random.normal(size=(8, 5, 6)).astype(np.float32),
        labels=random.integers(0, 4, 8),
        # One clip only fills the batch.
        weights=np.array([1, 1, 1, 1, 1, 1, 1, 0], np.float32),
        seeds=np.zeros((8, 2), np.int64),
        records=np.arange(8),
    )


def train(
    strategy_name="none",
    num_steps=3,
    inputs=None,
    policy="float32",
    remat=False,
    epsilon=1e-7,
    **options,
):
    """Trains a small head and gives its weights, the results and the step."""
    import keras

    from wlasl_tfrecord.network import rematerialisation
    from wlasl_tfrecord.network.variables import read_variable
    from wlasl_tfrecord.training import strategies
    from wlasl_tfrecord.training.step import TrainingStep

    strategy = strategies.make_strategy(strategy_name)
    keras.utils.set_random_seed(0)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    with strategy.scope():
        features = keras.Input((5, 6))
        x = keras.layers.LSTM(7)(features)
        model = keras.Model(features, keras.layers.Dense(4, dtype="float32")(x))
        optimizer = keras.optimizers.AdamW(0.01, epsilon=epsilon)
    keras.config.set_dtype_policy(before)
    if remat:
        blocks = [[layer] for layer in model.layers[1:]]
        model = rematerialisation.rematerialised(model, blocks)
    step = TrainingStep(strategy, model, optimizer, **options)
    clips = batch()
    if inputs is not None:
        clips = clips._replace(inputs=inputs)

    def batches(context):
        size = context.get_per_replica_batch_size(8)
        clips_dataset = tf.data.Dataset.from_tensor_slices(clips).repeat()
        return clips_dataset.batch(size, drop_remainder=True)

    iterator = iter(strategy.distribute_datasets_from_function(batches))
    results = [step.run(next(iterator)) for _ in range(num_steps)]
    weights = [read_variable(weight) for weight in model.weights]
    return weights, results, step


def assert_close(ones, others):
    for one, other in zip(ones, others, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-6)


def test_two_replicas_give_the_weights_of_one():
    options = {"label_smoothing": 0.1, "class_weights": [1.0, 2.0, 0.5, 1.0]}
    one, one_results, _ = train("none", **options)
    two, two_results, _ = train("mirrored", **options)
    assert_close(one, two)
    for a, b in zip(one_results, two_results):
        np.testing.assert_allclose(a.sums, b.sums, rtol=1e-5)


@pytest.mark.parametrize("remat", [False, True])
def test_what_batch_norm_learns_is_the_mean_over_replicas(remat):
    import keras

    from wlasl_tfrecord.network import rematerialisation
    from wlasl_tfrecord.training import strategies
    from wlasl_tfrecord.training.step import TrainingStep

    strategy = strategies.make_strategy("mirrored")
    with strategy.scope():
        inputs = keras.Input((5, 6))
        norm = keras.layers.BatchNormalization(momentum=0.0)
        x = keras.layers.Flatten()(norm(inputs))
        model = keras.Model(inputs, keras.layers.Dense(4)(x))
        optimizer = keras.optimizers.AdamW()
    if remat:
        blocks = [[layer] for layer in model.layers[1:]]
        model = rematerialisation.rematerialised(model, blocks)
    step = TrainingStep(strategy, model, optimizer)
    clips = tf.data.Dataset.from_tensor_slices(batch()).batch(4, drop_remainder=True)
    batches = strategy.distribute_datasets_from_function(lambda _: clips)
    step.run(next(iter(batches)))
    halves = np.split(batch().inputs, 2)
    for variable, moment in (
        (norm.moving_mean, np.mean),
        (norm.moving_variance, np.var),
    ):
        wanted = np.mean([moment(half, axis=(0, 1)) for half in halves], axis=0)
        values = strategy.experimental_local_results(variable.value)
        assert len(values) == 2
        for value in values:
            np.testing.assert_allclose(value, wanted, atol=1e-6)


def test_a_batch_in_parts_gives_the_same_weights():
    whole, _, _ = train()
    parts, results, _ = train(accumulate=4)
    assert_close(whole, parts)
    assert results[0].sums[3] == 7


@pytest.mark.parametrize("strategy_name", ["none", "mirrored"])
def test_rematerialisation_gives_the_same_weights(strategy_name):
    plain, _, _ = train(strategy_name, accumulate=2)
    again, _, _ = train(strategy_name, accumulate=2, remat=True)
    assert_close(plain, again)


def test_a_clip_of_weight_zero_counts_for_nothing():
    clips = batch()
    other = clips.inputs.copy()
    other[-1] = 100.0
    assert_close(train()[0], train(inputs=other)[0])


def test_class_weights_and_smoothing_change_what_is_learned():
    plain = train()[0][-1]
    assert not np.allclose(plain, train(label_smoothing=0.3)[0][-1])
    assert not np.allclose(plain, train(class_weights=[1.0, 9.0, 0.1, 1.0])[0][-1])


def test_the_loss_that_is_told_is_the_plain_one():
    _, plain, _ = train(num_steps=1)
    options = {"label_smoothing": 0.3, "class_weights": [1.0, 9.0, 0.1, 1.0]}
    for changes in (options, options | {"accumulate": 4}):
        _, others, _ = train(num_steps=1, **changes)
        np.testing.assert_allclose(others[0].sums, plain[0].sums, rtol=1e-6)


def test_a_weight_that_nothing_depends_on_stays_as_it_is():
    import keras

    from wlasl_tfrecord.network.variables import read_variable
    from wlasl_tfrecord.training import strategies
    from wlasl_tfrecord.training.step import TrainingStep

    class Spare(keras.layers.Layer):
        def build(self, input_shape):  # noqa: ARG002
            self.spare = self.add_weight(shape=(3,), initializer="ones", name="spare")

        def call(self, x):
            return x

    strategy = strategies.make_strategy("mirrored")
    with strategy.scope():
        layers = [keras.Input((5, 6)), Spare(), keras.layers.Flatten()]
        model = keras.Sequential([*layers, keras.layers.Dense(4)])
        optimizer = keras.optimizers.AdamW(0.01, weight_decay=0.0)
    kernel = read_variable(model.layers[-1].kernel)
    step = TrainingStep(strategy, model, optimizer)
    clips = tf.data.Dataset.from_tensor_slices(batch()).batch(4, drop_remainder=True)
    result = step.run(
        next(iter(strategy.distribute_datasets_from_function(lambda _: clips)))
    )
    assert result.finite
    np.testing.assert_array_equal(read_variable(model.layers[0].spare), 1.0)
    assert not np.array_equal(read_variable(model.layers[-1].kernel), kernel)


def test_a_step_with_a_nan_changes_nothing():
    broken = batch().inputs
    broken[0, 0, 0] = np.nan
    untouched, _, _ = train(num_steps=0)
    weights, results, _ = train(inputs=broken)
    assert not any(bool(result.finite) for result in results)
    for one, other in zip(weights, untouched):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("strategy_name", ["none", "mirrored"])
def test_an_overflow_is_skipped_and_recovered_from(strategy_name):
    # 1e4 is fine in float16, but times the first loss scale its gradient is not.
    weights, results, _ = train(
        strategy_name,
        num_steps=25,
        inputs=batch().inputs * 1e4,
        policy="mixed_float16",
        scale_loss=True,
    )
    finite = [bool(result.finite) for result in results]
    assert not finite[0]
    assert finite[-1]
    scales = [float(result.loss_scale) for result in results]
    assert scales[0] == 2.0**15
    assert scales[1] == 2.0**14
    assert all(np.isfinite(weight).all() for weight in weights)
    losses = [float(r.sums[0]) for r in results if bool(r.finite)]
    assert losses[-1] < losses[0]


def test_a_scaled_loss_gives_the_same_weights():
    # With an epsilon so large that the size of a gradient counts, not its sign alone.
    plain, _, _ = train(epsilon=1.0)
    scaled, _, _ = train(epsilon=1.0, scale_loss=True)
    assert_close(plain, scaled)
    assert not np.allclose(plain[-1], train(epsilon=1.0, num_steps=0)[0][-1])


def test_a_scale_that_holds_is_doubled(monkeypatch):
    from wlasl_tfrecord.training import step

    monkeypatch.setattr(step, "_STEPS_BEFORE_GROWTH", 2)
    _, results, _ = train(num_steps=3, scale_loss=True)
    scales = [float(result.loss_scale) for result in results]
    assert scales == [2.0**15, 2.0**15, 2.0**16]


def test_parts_must_divide_a_replicas_batch():
    with pytest.raises(ValueError, match="--accumulate 3 does not divide"):
        train(accumulate=3)


def test_no_two_parts_are_computed_at_once():
    # TensorFlow would start ten rounds of a loop, and keep the activations of all.
    _, _, step = train(num_steps=0, accumulate=4)
    graph = step.run.get_concrete_function(batch()).graph.as_graph_def()
    nodes = [*graph.node, *(n for f in graph.library.function for n in f.node_def)]
    rounds = [n.attr["parallel_iterations"].i for n in nodes if n.op.endswith("While")]
    assert rounds.count(1) == 1


# Eight blocks that make 37 MB inside, of which 4 MB pass on to the next.
PEAK = """
import sys
import keras, tensorflow as tf
from wlasl_tfrecord.input_pipeline.elements import Batch
from wlasl_tfrecord.network.rematerialisation import rematerialised
from wlasl_tfrecord.training.step import TrainingStep

# As on one core, and as a GPU is given its work: what is not ordered may come last.
tf.config.threading.set_inter_op_parallelism_threads(1)
accumulate, remat = int(sys.argv[1]), sys.argv[2] == "remat"
inputs = keras.Input((96, 96, 4))
x, blocks = inputs, []
for _ in range(8):
    blocks.append([keras.layers.Conv2D(32, 1, activation="sigmoid"),
                   keras.layers.Conv2D(4, 1)])
    for layer in blocks[-1]:
        x = layer(x)
model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x))
step = TrainingStep(
    tf.distribute.get_strategy(),
    rematerialised(model, blocks) if remat else model,
    keras.optimizers.AdamW(),
    accumulate=accumulate,
)
batch = Batch(
    inputs=tf.zeros([32, 96, 96, 4]),
    labels=tf.zeros([32], tf.int64),
    weights=tf.ones([32]),
    seeds=tf.zeros([32, 2], tf.int64),
    records=tf.zeros([32], tf.int64),
)

def read(key):
    with open("/proc/self/status") as file:
        return next(int(l.split()[1]) / 1024 for l in file if l.startswith(key))

step.run.get_concrete_function(batch)  # tracing takes memory, too
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")  # the high water starts from here
before = read("VmRSS")
step.run(batch)
print(read("VmHWM") - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_parts_and_rematerialisation_need_less_memory():
    def peak(*options):
        command = [sys.executable, "-c", PEAK, *options]
        done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return float(done.stdout)

    whole = peak("1", "")
    assert whole > 8 * 37
    assert peak("1", "remat") < 0.7 * whole
    assert peak("16", "") < 0.4 * whole


def dropout_network(strategy):
    import keras

    keras.utils.set_random_seed(0)
    with strategy.scope():
        inputs = keras.Input([32])
        x = keras.layers.Dropout(0.5)(inputs)
        return keras.Model(inputs, keras.layers.Dropout(0.5)(x * 1.0))


def masks(strategy, model, num_steps):
    """Returns what each replica's dropout leaves of ones, in each step."""
    from wlasl_tfrecord.training.step import differ_between_replicas

    differ_between_replicas(strategy, model, seed=3)

    @tf.function
    def step():
        return strategy.run(lambda: model(tf.ones([1, 32]), training=True))

    steps = [strategy.experimental_local_results(step()) for _ in range(num_steps)]
    return [[one.numpy() for one in step] for step in steps]


def test_each_replica_draws_its_own_masks():
    from wlasl_tfrecord.training import strategies

    both, one = strategies.make_strategy("mirrored"), strategies.make_strategy("none")
    drawn = masks(both, dropout_network(both), 3)
    assert len({mask.tobytes() for step in drawn for mask in step}) == 6
    for (mask,), (first, _) in zip(masks(one, dropout_network(one), 3), drawn):
        np.testing.assert_array_equal(mask, first)


def test_what_the_first_replica_holds_is_enough_to_resume():
    from wlasl_tfrecord.network.variables import read_variable
    from wlasl_tfrecord.training import strategies

    strategy = strategies.make_strategy("mirrored")
    whole = masks(strategy, dropout_network(strategy), 4)
    model = dropout_network(strategy)
    masks(strategy, model, 2)
    for variable in model.variables:
        # As a checkpoint is written and read.
        variable.assign(read_variable(variable))
    np.testing.assert_array_equal(whole[2:], masks(strategy, model, 2))
