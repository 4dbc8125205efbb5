"""Progress: through JSON and back, and copies that steps do not change."""

import contextlib
import dataclasses
import json

import pytest

from wlasl_tfrecord.training.early_stopping import EarlyStopping
from wlasl_tfrecord.training.progress import EpochTotals, Progress

ROW = {"phase": "head", "epoch": 1, "loss": 1.0, "top1": 0.5, "top5": 1, "seconds": 2}


def some_progress():
    return Progress(
        phase=1,
        epoch=2,
        step=3,
        total_steps=17,
        totals=EpochTotals(sums=(1.5, 2.0, 3.0, 4.0), num_skipped=1, seconds=0.5),
        stopping=EarlyStopping(best=(0.5, -1.0), lowest_loss=1.0),
        rows=(ROW,),
    )


def test_it_is_the_same_after_json():
    text = json.dumps(dataclasses.asdict(some_progress()))
    assert Progress.from_json(json.loads(text)) == some_progress()


def test_a_field_that_this_release_lacks_is_an_error():
    value = dataclasses.asdict(some_progress())
    with pytest.raises(TypeError, match="what_is_new"):
        Progress.from_json({**value, "what_is_new": 1})
    del value["stopping"]
    with pytest.raises(KeyError, match="stopping"):
        Progress.from_json(value)


def test_a_snapshot_stays_as_it_is():
    progress = some_progress()
    taken = progress.snapshot()
    progress.totals.seconds += 1.0
    progress.stopping.add_epoch((0.9, 0.0), 0.1)
    progress.end_epoch({"phase": "head", "loss": 0.1})
    assert taken == some_progress()
    assert (progress.epoch, progress.step, len(progress.rows)) == (3, 0, 2)
    assert progress.totals == EpochTotals()


def test_a_phase_begins_with_the_history_and_the_best_epoch():
    progress = some_progress()
    assert progress.phase_has_begun
    progress.begin_phase(2)
    assert not progress.phase_has_begun
    assert progress == Progress(
        phase=2,
        total_steps=17,
        stopping=EarlyStopping(best=(0.5, -1.0)),
        rows=some_progress().rows,
    )


def test_means_of_no_clip_are_zero():
    assert EpochTotals().means == (0.0, 0.0, 0.0)
    assert some_progress().totals.means == (0.375, 0.5, 0.75)


@pytest.mark.parametrize(
    ("path", "wrong", "message"),
    [
        (("epoch",), -1, "no count of a run can be -1"),
        (("step",), True, "no count of a run can be True"),
        (("totals", "num_skipped"), 2**40, "no count of a run can be 1099511627776"),
        (("totals", "seconds"), "1", "no value of a run can be '1'"),
        (("totals", "sums"), [1.0], "and sums four numbers"),
        (("stopping", "best"), [1.0], r"best must be two numbers, got \[1.0\]"),
        (("stopping", "lowest_loss"), 10**400, "no value of a run can be 1000"),
        (("phase_over",), 1, "phase_over must be true or false"),
        (("rows",), [{**ROW, "phase": 1}], "no phase of a run is 1"),
        # It is drawn, and is a cell of history.csv.
        (("rows",), [{**ROW, "phase": "$\\frac{"}], "no phase of a run is"),
        (("rows",), [{**ROW, "phase": "=1+1"}], "no phase of a run is '=1"),
        (("rows",), [{**ROW, "\ud800": 1}], "must have a plain name"),
        (("rows",), [ROW, {**ROW, "val_top1": 1}], "are validated, and others not"),
        (("rows",), [{**ROW, "loss": None}], "no value of a run can be None"),
    ],
)
def test_a_value_that_no_run_can_have_is_refused(path, wrong, message):
    value = json.loads(json.dumps(dataclasses.asdict(some_progress())))
    parent = value
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = wrong
    with pytest.raises(ValueError, match=message):
        Progress.from_json(value)


@pytest.mark.parametrize(
    ("changes", "is_possible"),
    [
        ({}, True),
        ({"phase": 1, "epoch": 0, "step": 5}, True),
        ({"epoch": 3, "rows": (ROW,) * 3, "step": 0, "phase_over": True}, True),
        ({"phase": 2}, False),
        ({"step": 6}, False),
        ({"epoch": 4, "rows": (ROW,) * 4}, False),
        ({"epoch": 3, "rows": (ROW,) * 3, "step": 1}, False),
        ({"rows": ()}, False),
        ({"phase": 1, "epoch": 2}, False),
        ({"epoch": 0, "rows": (), "phase_over": True}, False),
        ({"total_steps": 10**9}, False),
    ],
)
def test_a_place_that_a_run_does_not_have_is_refused(changes, is_possible):
    values = {"epoch": 2, "step": 5, "rows": (ROW, ROW), **changes}
    progress = Progress(**values)
    refused = pytest.raises(ValueError, match="is no place in this run")
    with contextlib.nullcontext() if is_possible else refused:
        progress.check_place([3, 2], 5)
