import subprocess
import sys

import numpy as np
import pytest

from wlasl_tfrecord import input_fn
from wlasl_tfrecord.input_pipeline import buffers, dataset
from wlasl_tfrecord.input_pipeline.buffers import (
    Buffers,
    plan_direct_buffers,
    plan_graph_buffers,
)
from wlasl_tfrecord.shard_format.record_table import Records

MIB = 2**20


def table(record_bytes, count=100):
    zeros = np.zeros(count)
    return Records(
        shard_indices=zeros.astype(np.int32),
        offsets=zeros.astype(np.int64),
        num_bytes=np.full(count, record_bytes, np.int64),
        crcs=zeros.astype(np.uint32),
        labels=zeros.astype(np.int64),
        video_ids=("x",) * count,
        signer_ids=zeros.astype(np.int64),
        num_distinct_frames=zeros.astype(np.int32),
    )


def plan(budget, *, batch_size=4, **options):
    defaults = {"augmented": False, "sequential": False, "remote": False}
    return plan_graph_buffers(
        table(4 * MIB),
        4 * MIB,
        batch_size,
        ram_budget_mib=budget,
        **{**defaults, **options},
    )


def used_mib(planned, *, augmented, sequential):
    """What a plan for clips of 4 MiB in batches of 4 may take, in MiB."""
    if augmented:
        used = planned.read_calls * 32 + 2 * 16
    else:
        used = planned.read_calls * 8 + 16 + planned.batch_calls * 48
    used += (planned.prefetch + 1) * 16
    return used + (planned.window_size * 5 * 4 if sequential else 0)


@pytest.mark.parametrize("augmented", [True, False])
@pytest.mark.parametrize("sequential", [True, False])
@pytest.mark.parametrize("budget", [350, 500, 700, 4000])
def test_a_plan_stays_within_its_budget_and_uses_more_of_a_larger_one(
    budget, sequential, augmented
):
    options = {"sequential": sequential, "augmented": augmented}
    planned, smaller = plan(budget, **options), plan(350, **options)
    assert used_mib(planned, **options) <= budget * 2 / 3
    assert used_mib(planned, **options) >= used_mib(smaller, **options)
    assert planned.prefetch >= smaller.prefetch >= 1
    assert planned.window_size >= smaller.window_size >= 1


def test_a_large_budget_takes_no_more_than_is_of_use():
    large, free = plan(100_000), plan(None)
    assert (large.read_calls, large.batch_calls) == (
        free.read_calls,
        free.batch_calls,
    )
    assert large.prefetch == free.prefetch == 2


@pytest.mark.parametrize("budget", [350, 1000])
def test_the_window_does_not_depend_on_the_replicas(budget):
    windows = {
        plan(budget, batch_size=size, sequential=True).window_size for size in (1, 2, 4)
    }
    assert len(windows) == 1


@pytest.mark.parametrize("augmented", [True, False])
@pytest.mark.parametrize("sequential", [True, False])
def test_the_budget_that_is_asked_for_is_enough(sequential, augmented):
    options = {"sequential": sequential, "augmented": augmented}
    with pytest.raises(ValueError, match="too small") as caught:
        plan(1, **options)
    needed = int(str(caught.value).split()[-1])
    assert plan(needed, **options).read_calls == 1
    with pytest.raises(ValueError, match="too small"):
        plan(needed - 1, **options)


def test_a_budget_below_one_batch_names_what_is_needed():
    with pytest.raises(
        ValueError,
        match="ram_budget_mib 10 is too small: batches of 4 clips need at least 156",
    ):
        plan(10)


def plan_direct(budget, *, batch_size=4):
    return plan_direct_buffers(
        table(4 * MIB), 4 * MIB, batch_size, ram_budget_mib=budget
    )


@pytest.mark.parametrize("budget", [70, 100, 150, 4000])
def test_a_direct_plan_stays_within_its_budget(budget):
    planned = plan_direct(budget)
    # A call has its batch, a record and two clips; then those that wait and are used.
    used = planned.batch_calls * (16 + 4 + 8) + (planned.prefetch + 1) * 16
    assert used <= budget
    assert planned.window_size == plan(max(budget, 350)).window_size or budget < 350


def test_a_direct_budget_below_one_batch_names_what_is_needed():
    message = "ram_budget_mib 10 is too small: batches of 4 clips need at least 60"
    with pytest.raises(ValueError, match=message):
        plan_direct(10)
    assert plan_direct(60).batch_calls == 1


def test_a_direct_plan_of_many_cores_has_a_bound(monkeypatch):
    monkeypatch.setattr(buffers, "num_cores", lambda: 10_000)
    assert plan_direct(None).batch_calls == 2 * 1024 // 28


def test_where_a_network_or_a_window_is_waited_for_tensorflow_decides():
    assert plan(None).read_calls is not None
    assert plan(None, remote=True).read_calls is None
    assert plan(None, sequential=True).read_calls is None


@pytest.mark.parametrize("reader", ["direct", "graph"])
@pytest.mark.parametrize("augment", [True, False])
@pytest.mark.parametrize("order", ["shuffled", "sequential"])
def test_how_much_is_done_at_once_changes_no_batch(
    write_folder, tmp_path, monkeypatch, order, augment, reader
):
    folder = write_folder(tmp_path / "shards", {"train": 20})

    def batches(**calls):
        planned = Buffers(window_size=5, **calls)
        plan = f"plan_{reader}_buffers"
        monkeypatch.setattr(dataset, plan, lambda *_, **__: planned)
        options = {"order": order, "augment": augment, "num_epochs": 2}
        options["reader"] = reader
        return [x.numpy() for x, _ in input_fn(folder, "train", 3, **options)]

    one = batches(read_calls=1, batch_calls=1, prefetch=1)
    many = batches(read_calls=16, batch_calls=6, prefetch=4)
    assert len(one) == 12
    np.testing.assert_array_equal(one, many)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/status")
@pytest.mark.parametrize("order", ["shuffled", "sequential"])
@pytest.mark.parametrize("augment", [True, False])
@pytest.mark.parametrize("reader", ["direct", "graph"])
def test_the_budget_holds_while_nobody_takes_the_batches(
    write_folder, tmp_path, order, augment, reader
):
    # 1.2 MB a clip, 60 of them: without a bound the input would read ahead through all.
    folder = write_folder(
        tmp_path / "shards", {"train": 60}, num_frames=8, height=224, width=224
    )
    code = f"""
import time
from wlasl_tfrecord import input_fn

def peak():
    with open("/proc/self/status") as file:
        return next(int(x.split()[1]) / 1024 for x in file if x.startswith("VmHWM"))

tiny = input_fn({str(folder)!r}, "train", 1, num_epochs=None, ram_budget_mib=80)
next(iter(tiny))  # what TensorFlow takes by itself
before = peak()
batches = iter(
    input_fn({str(folder)!r}, "train", 4, num_epochs=None, order={order!r},
             augment={augment}, ram_budget_mib=150, reader={reader!r})
)
for _ in range(40):
    next(batches)
    time.sleep(0.02)
print(peak() - before)
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert float(result.stdout) < 150
