"""Index files beside the shards, for readers that want one: DALI, PyTorch's `tfrecord`.

A line a record, "offset size", as the tool `tfrecord2idx` of both writes it.
"""

import os
from collections.abc import Sequence

from wlasl_tfrecord.errors import OutputError
from wlasl_tfrecord.files import output_errors, written_whole
from wlasl_tfrecord.shard_format.layout import INDEX_FILE
from wlasl_tfrecord.shard_format.record_table import Records
from wlasl_tfrecord.shard_format.shard_folder import ShardFolder, load_records
from wlasl_tfrecord.shard_format.tfrecord import FRAME_BYTES

__all__ = ["write_tfrecord_index"]

_WAY_OUT = "choose another folder with --tfrecord-index"


def write_tfrecord_index(
    folder: ShardFolder, splits: Sequence[str], directory: str | os.PathLike[str]
) -> int:
    """Writes one `.idx` file for each shard, by the tables of records alone.

    Args:
        folder: The folder; no shard is read.
        splits: Whose shards.
        directory: Where to write `<name of the shard>.idx`; made if it is missing.

    Returns:
        The number of files.

    Raises:
        OutputError: If the directory is a shard folder, or cannot be written.
        ShardFolderError: If a split or its table is missing, or the table is damaged.
    """
    if os.path.lexists(os.path.join(directory, INDEX_FILE)):
        raise OutputError(
            f"{os.fspath(directory)} is a shard folder: readers that look for "
            f"wlasl-{splits[0]}.tfrecord-* would take .idx files in it for shards; "
            + _WAY_OUT
        )
    tables = {split: load_records(folder, split) for split in splits}
    with output_errors(directory, _WAY_OUT):
        os.makedirs(directory, exist_ok=True)
    num_files = 0
    for split, records in tables.items():
        for shard_index, shard in enumerate(folder.split_shards(split)):
            path = os.path.join(directory, f"{shard.name}.idx")
            with written_whole(path, way_out=_WAY_OUT) as aside:
                aside.write_text(_index_text(records, shard_index))
            num_files += 1
    return num_files


def _index_text(records: Records, shard_index: int) -> str:
    """Returns a line for each record of a shard: where it starts, and its bytes."""
    own = records.shard_indices == shard_index
    offsets, num_bytes = records.offsets[own], records.num_bytes[own] + FRAME_BYTES
    return "".join(f"{offset} {size}\n" for offset, size in zip(offsets, num_bytes))
