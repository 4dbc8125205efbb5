"""The memory that the input may take, and how its stages share it."""

import math
from dataclasses import dataclass

from wlasl_tfrecord.files import num_cores
from wlasl_tfrecord.shard_format.record_table import Records

__all__ = [
    "Buffers",
    "plan_direct_buffers",
    "plan_graph_buffers",
]

# Bytes of encoded records in a window where no budget is set: some 700 jpeg clips,
# enough for a thorough shuffle, and little beside a training process.
DEFAULT_WINDOW_BYTES = 256 * 2**20
# Bytes of the batches that the direct reader reads at once where no budget is set:
# enough for 24 cores with batches of 16 clips of 4.5 MB. More cores need a budget.
DEFAULT_DIRECT_BYTES = 2 * 2**30


@dataclass(frozen=True, kw_only=True)
class Buffers:
    """How many clips and batches are in memory at a time.

    Attributes:
        read_calls: Clips that are read, and augmented, at once by the graph reader;
            None to let tf.data choose while it runs.
        batch_calls: Batches that are put together at once.
        prefetch: Finished batches that wait to be used.
        window_size: Records in a window of the sequential order.
    """

    read_calls: int | None
    batch_calls: int
    prefetch: int
    window_size: int


def plan_direct_buffers(
    records: Records,
    clip_bytes: int,
    local_batch_size: int,
    *,
    remote: bool = False,
    ram_budget_mib: int | None,
) -> Buffers:
    """Plans the memory of the direct reader.

    The plan counts each batch that is read at once, with the memory that its thread
    works in (a record and two clips at most), the batches that wait, and the one in the
    training step. From a store, all records of a batch come at once, and count too. The
    records that `order="sequential"` reads ahead lie in the system's page cache, which
    the system takes back as it needs.

    Args:
        records: The table of records of the split.
        clip_bytes: Bytes of one decoded clip.
        local_batch_size: Clips in one element of the dataset.
        remote: Whether records are read from a store.
        ram_budget_mib: The budget in MiB; None for `DEFAULT_DIRECT_BYTES`.

    Returns:
        The plan, within the budget if there is one.

    Raises:
        ValueError: If the budget is too small for one batch at a time.
    """
    record_bytes = max(int(records.num_bytes.max()), 1)
    # `Order` refuses a batch of 0.
    per_batch = max(local_batch_size, 1) * clip_bytes
    per_call = per_batch + record_bytes + 2 * clip_bytes
    if remote:
        per_call += max(local_batch_size, 1) * record_bytes
    # A thread a core, one for the time in which another starts or ends a batch, and one
    # for a finished batch that waits for an earlier one.
    most_calls = num_cores() + 2
    if ram_budget_mib is None:
        return Buffers(
            read_calls=None,
            batch_calls=max(2, min(most_calls, DEFAULT_DIRECT_BYTES // per_call)),
            prefetch=2,
            window_size=_window_size(record_bytes, None),
        )
    budget = ram_budget_mib * 2**20
    # A batch that is read, one that waits and one in use.
    least = per_call + 2 * per_batch
    if budget < least:
        raise ValueError(_too_small(ram_budget_mib, local_batch_size, least))
    spare = budget - least
    calls = 1 + min(most_calls - 1, spare // per_call)
    spare -= (calls - 1) * per_call
    return Buffers(
        read_calls=None,
        batch_calls=calls,
        prefetch=1 + min(1, spare // per_batch),
        window_size=_window_size(record_bytes, ram_budget_mib),
    )


def plan_graph_buffers(
    records: Records,
    clip_bytes: int,
    local_batch_size: int,
    *,
    augmented: bool,
    sequential: bool,
    remote: bool,
    ram_budget_mib: int | None,
) -> Buffers:
    """Plans the memory of the graph reader.

    The plan counts, in copies:
    - a clip that is read: its record and, while it is parsed, its frames; where it is
      augmented, its frames decoded, changed and as float32 as well;
    - a batch that is decoded: its encoded frames, its images and the batch;
    - a batch of augmented clips: the clips and the batch;
    - a batch that waits, and the one in the training step: itself;
    - a window of the sequential order: its records up to five times, while they are
      read, collected and reordered, and while those of the window before wait.
    A third of the budget is left to the allocator, which cannot reuse every gap.

    Args:
        records: The table of records of the split.
        clip_bytes: Bytes of one decoded clip.
        local_batch_size: Clips in one element of the dataset.
        augmented: Whether clips are decoded and changed one by one.
        sequential: Whether records are read by windows.
        remote: Whether records are read over a network.
        ram_budget_mib: The budget in MiB; None for no limit.

    Returns:
        The plan, within the budget if there is one.

    Raises:
        ValueError: If the budget is too small for one batch at a time.
    """
    record_bytes = max(int(records.num_bytes.max()), 1)
    cores = num_cores()
    # With more calls, so many clips of 4.5 MB are in memory at once that they displace
    # each other from the processor's cache (docs/decisions/0006-copies-of-a-clip.md).
    # One call to decode uses several cores by itself.
    most_reads, most_decodes = cores + 2, 1 + max(2, cores // 2)
    if ram_budget_mib is None:
        return Buffers(
            # tf.data chooses well where there is latency to hide, and where a window is
            # in memory in any case.
            read_calls=None if remote or sequential else most_reads,
            batch_calls=most_decodes,
            prefetch=2,
            window_size=_window_size(record_bytes, None),
        )
    budget = ram_budget_mib * 2**20 * 2 // 3
    if sequential:
        budget //= 2
    # `Order` refuses a batch of 0.
    batch_size = max(local_batch_size, 1)
    per_batch = batch_size * clip_bytes
    if augmented:
        per_read, per_decode = record_bytes + 7 * clip_bytes, 2 * per_batch
    else:
        per_read = 2 * record_bytes
        per_decode = batch_size * record_bytes + 2 * per_batch
    # One clip that is read, one batch that is made, one that waits and one in use; and
    # the encoded frames of the next batch.
    least = per_read + per_decode + 2 * per_batch
    least += 0 if augmented else batch_size * record_bytes
    if budget < least or (sequential and budget < 5 * record_bytes):
        needed = max(least, 5 * record_bytes) * (2 if sequential else 1) * 3 / 2
        raise ValueError(_too_small(ram_budget_mib, local_batch_size, needed))
    spare = budget - least
    reads = 1 + min(most_reads - 1, spare // 2 // per_read)
    spare -= (reads - 1) * per_read
    decodes = 1
    if not augmented:
        decodes += min(most_decodes - 1, spare // per_decode)
        spare -= (decodes - 1) * per_decode
    prefetch = 1 + min(1, spare // per_batch)
    return Buffers(
        read_calls=reads,
        batch_calls=decodes,
        prefetch=prefetch,
        window_size=_window_size(record_bytes, ram_budget_mib),
    )


def _window_size(record_bytes: int, ram_budget_mib: int | None) -> int:
    """Returns the records in a window; the order depends on it alone."""
    if ram_budget_mib is None:
        return max(DEFAULT_WINDOW_BYTES // record_bytes, 1)
    # For any batch size and reader: the order must depend neither on the number of
    # replicas that share a batch, nor on how records are read.
    return max(ram_budget_mib * 2**20 * 2 // 3 // 2 // (5 * record_bytes), 1)


def _too_small(ram_budget_mib: int, batch_size: int, needed_bytes: float) -> str:
    return (
        f"ram_budget_mib {ram_budget_mib} is too small: batches of {batch_size} clips "
        f"need at least {math.ceil(needed_bytes / 2**20)}"
    )
