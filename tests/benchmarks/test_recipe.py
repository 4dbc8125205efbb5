"""The comparison of variants of the training."""

import json

import numpy as np
import pytest
from small_training import RECIPE

from benchmarks import recipe


def made_row(
    variant, seed, ranks, *, fold=None, num_folds=0, shuffled=None, copies=None
):
    return {
        "variant": variant,
        "seed": seed,
        "fold": fold,
        "num_folds": num_folds,
        "ranks": ranks,
        "shuffled_ranks": ranks if shuffled is None else shuffled,
        "is_signer_seen": [True] * (len(ranks) - 1) + [False],
        "is_copy": [False] * len(ranks) if copies is None else copies,
        "seconds": 90.0,
    }


def test_the_table_has_intervals_and_paired_differences():
    # The first is right in clips 0 to 3, the second in 0 to 7 of ten, with both seeds.
    right_4, right_8 = [0] * 4 + [7] * 6, [0] * 8 + [2, 9]
    rows = [
        made_row("plain", 0, right_4),
        made_row("better", 0, right_8, shuffled=[1] * 10),
        made_row("plain", 1, right_4),
        made_row("better", 1, right_8, shuffled=[1] * 10),
    ]
    lines = recipe.table(recipe.pooled(rows, 0)).splitlines()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    assert cells[2] == [
        "plain",
        # Wilson's interval of 4 of 10, and not of 20, although there are two seeds.
        "40.0 (17 to 69): 40.0, 40.0",
        "40.0 (17 to 69)",
        "44.4 (19 to 73) of 9",
        "0.0 (0 to 79) of 1",
        "+0.0 (+0 to +0)",
        "",
        "",
        "1.5",
    ]
    assert cells[3] == [
        "better",
        "80.0 (49 to 94): 80.0, 80.0",
        "90.0 (60 to 98)",
        "88.9 (57 to 98) of 9",
        "0.0 (0 to 79) of 1",
        # The mean of eight ones and two zeros, 1.96 standard errors (0.133) around it.
        "+80.0 (+54 to +106)",
        "+40.0 (+8 to +72)",
        # Four clips that only one recognises: 2 / 2**4, of each seed.
        "0.12, 0.12",
        "1.5",
    ]


def test_copies_of_clips_of_train_are_left_out():
    copies = [True, False, False, False]
    judged = recipe.pooled([made_row("plain", 0, [0, 1, 1, 1], copies=copies)], 0)
    assert judged["plain"].ranks.tolist() == [[1, 1, 1]]
    assert judged["plain"].is_signer_seen.tolist() == [True, True, False]


def test_only_whole_seeds_count_and_folds_are_put_in_order():
    rows = [
        made_row("plain", 3, [3, 4], fold=1, num_folds=2),
        made_row("plain", 3, [1, 2], fold=0, num_folds=2),
        made_row("plain", 5, [9, 9], fold=0, num_folds=2),
        made_row("other", 5, [9, 9], fold=0, num_folds=2),
        made_row("plain", 3, [8, 8]),
    ]
    judged = recipe.pooled(rows, 2)
    assert list(judged) == ["plain"]
    assert judged["plain"].seeds == (3,)
    assert judged["plain"].ranks.tolist() == [[1, 2, 3, 4]]


def test_variants_are_compared_by_the_seeds_that_both_have():
    rows = [
        made_row("plain", 0, [0, 0, 0, 5]),
        made_row("plain", 1, [5, 5, 5, 5]),
        made_row("other", 1, [5, 5, 5, 5]),
        made_row("third", 2, [5, 5, 5, 5]),
    ]
    plain, other, third = recipe.pooled(rows, 0).values()
    assert recipe._compared(other, plain) == ("+0.0 (+0 to +0)", "1")
    assert recipe._compared(third, plain) == ("", "")


def test_shuffling_keeps_the_frames_of_each_clip():
    import tensorflow as tf

    from wlasl_tfrecord.input_pipeline.elements import Batch

    frames = np.arange(4 * 12, dtype=np.uint8).reshape(4, 12, 1, 1, 1)
    records = tf.constant([0, 1, 2, 3], tf.int64)
    batch = Batch(tf.constant(frames), records, records, records, records)
    dataset = tf.data.Dataset.from_tensors(batch).map(recipe.shuffle_frames)
    mixed, again = (next(iter(dataset)).inputs.numpy() for _ in range(2))
    np.testing.assert_array_equal(mixed, again)
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
