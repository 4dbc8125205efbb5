import subprocess
import sys

import numpy as np
import pytest

from wlasl_tfrecord import input_fn
from wlasl_tfrecord.index import Records, load_folder, load_records
from wlasl_tfrecord.memory import plan_buffers

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


@pytest.mark.parametrize("sequential", [True, False])
@pytest.mark.parametrize("budget", [300, 350, 500, 4000])
def test_a_plan_stays_within_its_budget_and_uses_more_of_a_larger_one(
    budget, sequential
):
    plan = plan_buffers(
        table(4 * MIB), 4 * MIB, 4, sequential=sequential, ram_budget_mib=budget
    )
    used = plan.parallel_calls * 32 + (3 + plan.prefetch) * 16
    used += plan.window * 5 * 4 if sequential else 0
    assert used <= budget * 2 / 3
    smaller = plan_buffers(
        table(4 * MIB), 4 * MIB, 4, sequential=sequential, ram_budget_mib=300
    )
    assert plan.prefetch >= smaller.prefetch >= 1
    assert plan.window >= smaller.window >= 1


@pytest.mark.parametrize("budget", [300, 1000])
def test_the_window_does_not_depend_on_the_replicas(budget):
    windows = {
        plan_buffers(
            table(4 * MIB), 4 * MIB, batch, sequential=True, ram_budget_mib=budget
        ).window
        for batch in (1, 2, 4)
    }
    assert len(windows) == 1


@pytest.mark.parametrize("sequential", [True, False])
def test_the_budget_that_is_asked_for_is_enough(sequential):
    def plan(budget):
        return plan_buffers(
            table(4 * MIB), 4 * MIB, 4, sequential=sequential, ram_budget_mib=budget
        )

    with pytest.raises(ValueError, match="too small") as caught:
        plan(1)
    needed = int(str(caught.value).split()[-1])
    assert plan(needed).parallel_calls == 1
    with pytest.raises(ValueError, match="too small"):
        plan(needed - 1)


def test_a_budget_below_one_clip_names_what_is_needed():
    with pytest.raises(
        ValueError,
        match="ram_budget_mib 10 is too small: batches of 4 clips need at least 144",
    ):
        plan_buffers(table(4 * MIB), 4 * MIB, 4, sequential=False, ram_budget_mib=10)


def test_without_a_budget_tensorflow_decides(write_folder, tmp_path):
    folder = load_folder(write_folder(tmp_path / "shards"))
    records = load_records(folder, "train")
    plan = plan_buffers(records, 1, 4, sequential=False, ram_budget_mib=None)
    assert plan.parallel_calls is None
    assert plan.prefetch is None


def test_a_budget_changes_no_batch(write_folder, tmp_path):
    folder = write_folder(tmp_path / "shards")
    free = [x.numpy() for x, _ in input_fn(folder, "train", 3)]
    bound = [x.numpy() for x, _ in input_fn(folder, "train", 3, ram_budget_mib=50)]
    np.testing.assert_array_equal(free, bound)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/status")
@pytest.mark.parametrize("order", ["shuffled", "sequential"])
def test_the_budget_holds_while_nobody_takes_the_batches(write_folder, tmp_path, order):
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
             ram_budget_mib=150)
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
