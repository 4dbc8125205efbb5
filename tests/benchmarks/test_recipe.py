"""The comparison of variants of the training."""

import json

import numpy as np
import pytest
from small_training import RECIPE

from benchmarks import recipe


def test_shuffling_keeps_the_frames_of_each_clip_and_their_landmarks():
    import tensorflow as tf

    from wlasl_tfrecord.input_pipeline.elements import Batch

    frames = np.arange(4 * 12, dtype=np.uint8).reshape(4, 12, 1, 1, 1)
    records = tf.constant([0, 1, 2, 3], tf.int64)
    inputs = {"frames": tf.constant(frames), "landmarks": tf.constant(frames[..., 0])}
    batch = Batch(inputs, records, records, records, records)
    dataset = tf.data.Dataset.from_tensors(batch).map(recipe.shuffle_frames)
    found, again = (next(iter(dataset)).inputs for _ in range(2))
    mixed = found["frames"].numpy()
    np.testing.assert_array_equal(mixed, again["frames"])
    np.testing.assert_array_equal(mixed[..., 0], found["landmarks"])
    np.testing.assert_array_equal(np.sort(mixed, axis=1), frames)
    orders = {tuple((clip - clip.min()).ravel()) for clip in mixed}
    assert len(orders) == 4
    assert tuple(range(12)) not in orders


@pytest.fixture(scope="module")
def compared(shards, tmp_path_factory):
    """Options of a comparison of two small variants, after it ran."""
    out = tmp_path_factory.mktemp("compared")
    tiny = out / "tiny.py"
    tiny.write_text(RECIPE)
    options = f"--model {tiny} --batch-size 4 --feature-views 1"
    command = [
        *("--data", str(shards), "--out", str(out / "results")),
        # A file, so that the backbone counts as pretrained.
        *("--weights", str(tiny), "--variants", "plain,units", "--epochs", "1"),
        *("--seeds", "1"),
        *("--variant", f"plain={options}"),
        *("--variant", f"units={options} --option units=4"),
    ]
    recipe.main(command)
    command += ["--variants", "plain", "--folds", "2"]
    recipe.main(command)
    return command, out / "results"


@pytest.mark.slow
def test_every_clip_is_judged_once_by_val_and_once_by_the_folds(compared, capsys):
    command, out = compared
    rows = recipe.read_rows(out / "results.jsonl")
    assert [(row["variant"], row["fold"]) for row in rows] == [
        *(("plain", None), ("units", None), ("plain", 0), ("plain", 1)),
    ]
    assert rows[0]["video_ids"] == [f"val{number:05d}" for number in range(7)]
    assert all(rows[0]["is_signer_seen"])
    held_out = rows[2]["video_ids"] + rows[3]["video_ids"]
    assert sorted(held_out) == [f"train{number:05d}" for number in range(14)]
    assert not any(rows[2]["is_signer_seen"] + rows[3]["is_signer_seen"])
    # As large as the train split, and not needed again.
    assert [path.name for path in out.glob("fold*")] == []
    before = (out / "results.jsonl").read_bytes()
    capsys.readouterr()
    recipe.main(command)
    shown = capsys.readouterr()
    assert (out / "results.jsonl").read_bytes() == before
    assert "training tiny" not in shown.err
    titles = [line for line in shown.out.splitlines() if line and line[0] != "|"]
    assert titles == ["val", "2 folds by signer"]
    assert len([line for line in shown.out.splitlines() if "| plain |" in line]) == 2


@pytest.mark.slow
def test_a_run_without_a_row_is_done_again_alone(compared, capsys):
    command, out = compared
    path = out / "results.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:1] + lines[2:]))
    recipe.main([*command, "--variants", "plain,units", "--folds", "0"])
    shown = capsys.readouterr().out.splitlines()
    trained = [line.partition(":")[0] for line in shown if ": top-1 " in line]
    assert trained == ["units-seed0-val"]
    assert not any("folds by signer" in line for line in shown)
    again = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(again) == 4
    # The same training: the same answers.
    assert again[-1]["ranks"] == json.loads(lines[1])["ranks"]


@pytest.mark.slow
def test_a_name_with_other_options_is_refused(compared):
    command, _ = compared
    with pytest.raises(SystemExit, match=r"has a run of plain with options .* another"):
        recipe.main([*command, "--variant", "plain=--batch-size 2"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--variants", "defaults,none"], "no variant 'none'; known: defaults"),
        (["--variant", "new"], "--variant must be NAME=OPTIONS, got 'new'"),
        (["--variant", "a/b=--epochs 1"], "--variant must be NAME=OPTIONS"),
    ],
)
def test_a_variant_that_is_none_is_refused(options, message):
    with pytest.raises(SystemExit, match=message):
        recipe.main(["--data", "nowhere", "--out", "nowhere", *options])


def test_a_training_that_fails_ends_the_comparison(shards, tmp_path):
    command = ["--data", str(shards), "--out", str(tmp_path), "--variants", "bad"]
    with pytest.raises(SystemExit) as ended:
        recipe.main([*command, "--variant", "bad=--batch-size 0"])
    assert ended.value.code == 2
    assert not (tmp_path / "results.jsonl").exists()


@pytest.mark.slow
def test_a_network_of_landmarks_is_judged(write_folder, tmp_path):
    folder = write_folder(
        tmp_path / "shards", {"train": 4, "val": 3}, num_frames=4, landmarks=True
    )
    options = "--model landmarks_lstm --batch-size 2 --option width=8"
    out = tmp_path / "out"
    recipe.main(
        [
            *("--data", str(folder), "--out", str(out), "--weights", "none"),
            *("--variants", "small", "--variant", f"small={options}"),
            *("--seeds", "1", "--epochs", "1"),
        ]
    )
    [row] = recipe.read_rows(out / "results.jsonl")
    assert row["video_ids"] == [f"val{number:05d}" for number in range(3)]
    assert len(row["shuffled_ranks"]) == 3
