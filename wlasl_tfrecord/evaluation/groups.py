"""Groups of the clips of a split: by signer, and copies of clips of train."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wlasl_tfrecord.shard_format.layout import REPORT_FILE
from wlasl_tfrecord.shard_format.shard_folder import ShardFolder, load_records
from wlasl_tfrecord.storage.contents import read_json
from wlasl_tfrecord.storage.urls import join_path

__all__ = ["ClipGroups", "groups_of"]


@dataclass(frozen=True, kw_only=True)
class ClipGroups:
    """What is known of the clips besides their labels.

    Attributes:
        signer_ids: int64 [N], -1 where unknown.
        is_signer_seen: bool [N], whether train has clips of the same signer.
        is_copy: bool [N], whether a video of train has the same content; None if the
            folder has no report that tells.
    """

    signer_ids: NDArray[np.int64]
    is_signer_seen: NDArray[np.bool_]
    is_copy: NDArray[np.bool_] | None


def groups_of(
    folder: ShardFolder, split: str, records: NDArray[np.int64]
) -> ClipGroups:
    """Reads from a shard folder what groups the clips of a split belong to.

    Args:
        folder: The folder, whose train split is what training has seen.
        split: The split.
        records: int64 [N], the clips' numbers in it.

    Raises:
        ShardFolderError: If a table of records is damaged.
    """
    table = load_records(folder, split)
    signer_ids = table.signer_ids[records]
    trained = np.empty(0, np.int64)
    if "train" in folder.splits:
        trained = load_records(folder, "train").signer_ids
    is_seen = np.isin(signer_ids, trained) & (signer_ids >= 0)
    video_ids = [table.video_ids[record] for record in records]
    return ClipGroups(
        signer_ids=signer_ids,
        is_signer_seen=is_seen,
        is_copy=_copies(folder, split, video_ids),
    )


def _copies(
    folder: ShardFolder, split: str, video_ids: list[str]
) -> NDArray[np.bool_] | None:
    """Returns which videos have the content of one of train; None if nobody tells."""
    try:
        report = read_json(join_path(folder.directory, REPORT_FILE))
        written = [
            (instance["split"], instance["video_id"], str(instance["sha256"]))
            for instance in report["instances"]
            if instance["outcome"] == "written"
        ]
        trained = {digest for where, _, digest in written if where == "train"}
        digests = {name: digest for where, name, digest in written if where == split}
    except (OSError, ValueError, KeyError, TypeError):
        # Somebody may have copied the shards without it; the rest holds all the same.
        return None
    if split == "train" or not digests.keys() >= set(video_ids):
        return None
    return np.array([digests[name] in trained for name in video_ids], bool)
