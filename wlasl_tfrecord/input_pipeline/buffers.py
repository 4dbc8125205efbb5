"""The memory that the input may take, and how its stages share it."""

import math
from dataclasses import dataclass

from wlasl_tfrecord.files import num_cores
from wlasl_tfrecord.shard_format.record_table import Records

__all__ = [
    "Buffers",
    "plan_buffers",
]

# Bytes of encoded records in a window where no budget is set: some 700 jpeg clips,
# enough for a thorough shuffle, and little beside a training process.
DEFAULT_WINDOW_BYTES = 256 * 2**20


@dataclass(frozen=True, kw_only=True)
class Buffers:
    """How many clips and batches are in memory at a time.

    Attributes:
        read_calls: Clips that are read, and augmented, at once; None to let tf.data
            choose while it runs.
        decode_calls: Batches that are decoded at once, where nothing is augmented.
        prefetch: Finished batches that wait to be used.
        window_size: Records in a window of the sequential order.
    """

    read_calls: int | None
    decode_calls: int
    prefetch: int
    window_size: int


def plan_buffers(
    records: Records,
    clip_bytes: int,
    local_batch_size: int,
    *,
    augmented: bool,
    sequential: bool,
    remote: bool,
    ram_budget_mib: int | None,
) -> Buffers:
    """Plans how the stages share the memory that the input may take.

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
            decode_calls=most_decodes,
            prefetch=2,
            window_size=max(DEFAULT_WINDOW_BYTES // record_bytes, 1),
        )
    budget = ram_budget_mib * 2**20 * 2 // 3
    # Half of the budget for any batch size: the order must not depend on the number of
    # replicas that share a batch.
    window_size = max(budget // 2 // (5 * record_bytes), 1)
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
        raise ValueError(
            f"ram_budget_mib {ram_budget_mib} is too small: batches of "
            f"{local_batch_size} clips need at least {math.ceil(needed / 2**20)}"
        )
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
        decode_calls=decodes,
        prefetch=prefetch,
        window_size=window_size,
    )
