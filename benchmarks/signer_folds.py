"""Folds of a train split, by signer: each is a shard folder of its own.

Nearly all clips of val are of signers that training has seen. A fold is judged by clips
of signers that it has not: they are its split `test`, the other clips of train are its
`train`, and `val`, which chooses the epoch, stays what it is.
"""

import dataclasses
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wlasl_tfrecord.shard_format.folder_files import folder_files
from wlasl_tfrecord.shard_format.layout import INDEX_FILE, shard_name
from wlasl_tfrecord.shard_format.record_table import Records
from wlasl_tfrecord.shard_format.shard_folder import Shard, ShardFolder, load_records
from wlasl_tfrecord.shard_format.tfrecord import FRAME_BYTES

__all__ = ["signer_folds", "write_fold"]


def signer_folds(
    signer_ids: NDArray[np.int64], num_folds: int
) -> list[NDArray[np.int64]]:
    """Divides clips into folds of about the same size; no signer is in two of them.

    Signers are taken by their number of clips, most first; each goes to the fold that
    has the fewest clips so far.

    Args:
        signer_ids: int64 [N], the signer of each clip; clips of unknown signers (-1)
            are in no fold, because they might be of a signer of another one.
        num_folds: Number of folds.

    Returns:
        The indices of the clips of each fold, ascending.

    Raises:
        ValueError: If there are fewer than two folds, or fewer signers than folds.
    """
    signers, counts = np.unique(signer_ids[signer_ids >= 0], return_counts=True)
    if not 2 <= num_folds <= len(signers):
        raise ValueError(
            f"{num_folds} folds of {len(signers)} known signers; choose from 2 to "
            f"{len(signers)}"
        )
    sizes = np.zeros(num_folds, np.int64)
    fold_of = {}
    for index in np.argsort(-counts, kind="stable"):
        fold = int(sizes.argmin())
        fold_of[int(signers[index])] = fold
        sizes[fold] += counts[index]
    folds = np.array([fold_of.get(int(signer), -1) for signer in signer_ids])
    return [np.flatnonzero(folds == fold) for fold in range(num_folds)]


def write_fold(
    folder: ShardFolder, held_out: NDArray[np.int64], out_dir: Path
) -> ShardFolder:
    """Writes the shard folder of a fold.

    Args:
        folder: A local folder with train and val.
        held_out: Records of train that the fold is judged by, ascending.
        out_dir: The folder to write; what it holds already is replaced.

    Returns:
        The new folder. Its `val` is hard links to the shards of the old one, where the
        disk has such links, and else copies.
    """
    shutil.rmtree(out_dir, ignore_errors=True)
    out_dir.mkdir(parents=True)
    table = load_records(folder, "train")
    trained = np.setdiff1d(np.arange(len(table)), held_out)
    shards, records = {}, {"val": load_records(folder, "val")}
    for split, chosen in (("train", trained), ("test", held_out)):
        name = shard_name(split, 0, 1)
        records[split] = _copy_records(folder, table, chosen, out_dir / name)
        num_bytes = (out_dir / name).stat().st_size
        shards[split] = (
            Shard(name=name, num_bytes=num_bytes, num_records=len(chosen)),
        )
    for shard in folder.split_shards("val"):
        _link(folder.shard_path(shard), out_dir / shard.name)
    shards["val"] = folder.split_shards("val")
    fold = dataclasses.replace(folder, directory=str(out_dir), shards=shards)
    contents = folder_files(fold, records, None)
    index = contents.pop(INDEX_FILE)
    for name, content in (*contents.items(), (INDEX_FILE, index)):
        (out_dir / name).write_bytes(content)
    return fold


def _copy_records(
    folder: ShardFolder, table: Records, chosen: Sequence[int] | NDArray, path: Path
) -> Records:
    """Copies records of train into one shard, and returns their table."""
    paths = [folder.shard_path(shard) for shard in folder.split_shards("train")]
    with path.open("wb") as out:
        for record in chosen:
            with open(paths[table.shard_indices[record]], "rb") as file:
                file.seek(table.offsets[record])
                out.write(file.read(int(table.num_bytes[record]) + FRAME_BYTES))
    ends = np.cumsum(table.num_bytes[chosen] + FRAME_BYTES)
    return Records(
        shard_indices=np.zeros(len(chosen), np.int32),
        offsets=np.concatenate([[0], ends[:-1]]).astype(np.int64),
        num_bytes=table.num_bytes[chosen],
        crcs=table.crcs[chosen],
        labels=table.labels[chosen],
        video_ids=tuple(table.video_ids[record] for record in chosen),
        signer_ids=table.signer_ids[chosen],
        num_distinct_frames=table.num_distinct_frames[chosen],
    )


def _link(source: str, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another disk, or one without such links
        shutil.copyfile(source, target)
