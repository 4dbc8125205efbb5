"""How much memory the input may take, and what it does with it."""

import math
import os
from dataclasses import dataclass

from wlasl_tfrecord.index import Records

__all__ = ["Buffers", "available_cores", "plan_buffers"]

# Of still encoded records, when nobody sets a budget: some 700 jpeg clips, enough for a
# thorough shuffle, and little beside a training process.
DEFAULT_WINDOW_BYTES = 256 * 2**20


@dataclass(frozen=True, kw_only=True)
class Buffers:
    """How many clips and batches are in memory at a time.

    Attributes:
        parallel_calls: Clips that are read and decoded at once; None to let tf.data
            find out while it runs.
        prefetch: Finished batches that wait; None to let tf.data find out.
        window: Records in a window of the sequential order.
    """

    parallel_calls: int | None
    prefetch: int | None
    window: int


def plan_buffers(
    records: Records,
    clip_bytes: int,
    local_batch_size: int,
    *,
    sequential: bool,
    ram_budget_mib: int | None,
) -> Buffers:
    """Shares out the memory that the input may take.

    A clip in work takes its encoded record, its frames and, while it is augmented, its
    frames once more and as float32. A batch takes its clips twice while they are copied
    together, then once while it waits and once in the hands of the training step. A
    window of the sequential order takes its records up to five times: while they are
    read, collected and reordered, and while those of the one before wait. A third of
    the budget is left to the allocator, which cannot reuse every gap.

    Args:
        records: The table of records of the split.
        clip_bytes: Bytes of one decoded clip.
        local_batch_size: Clips in one element of the dataset.
        sequential: Whether a window is needed.
        ram_budget_mib: The budget in MiB; None for no fixed one.

    Returns:
        The plan; within the budget if there is one.

    Raises:
        ValueError: If the budget is too small for one clip at a time.
    """
    record_bytes = max(int(records.num_bytes.max()), 1)
    if ram_budget_mib is None:
        window = max(DEFAULT_WINDOW_BYTES // record_bytes, 1)
        return Buffers(parallel_calls=None, prefetch=None, window=window)
    budget = ram_budget_mib * 2**20 * 2 // 3
    # Half of it whatever the batch is: the order must not depend on how many replicas
    # share a batch.
    window = max(budget // 2 // (5 * record_bytes), 1)
    if sequential:
        budget //= 2
    per_call = record_bytes + 7 * clip_bytes
    # A batch of none is refused by its order.
    per_batch = max(local_batch_size, 1) * clip_bytes
    # In work one clip, waiting one batch.
    least = per_call + 4 * per_batch
    if budget < least or (sequential and budget < 5 * record_bytes):
        needed = max(least, 5 * record_bytes) * (2 if sequential else 1) * 3 / 2
        raise ValueError(
            f"ram_budget_mib {ram_budget_mib} is too small: batches of "
            f"{local_batch_size} clips need at least {math.ceil(needed / 2**20)}"
        )
    spare = budget - least
    calls = 1 + min(available_cores(), spare // 2 // per_call)
    prefetch = 1 + min(8, (spare - (calls - 1) * per_call) // per_batch)
    return Buffers(parallel_calls=calls, prefetch=prefetch, window=window)


def available_cores() -> int:
    """Counts the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
