"""LSA64 as it is downloaded."""

from collections import Counter

import pytest
from annotations import touch

from wlasl_tfrecord.annotations.reader import read_manifest
from wlasl_tfrecord.errors import ManifestError
from wlasl_tfrecord.shard_format.layout import SPLITS

NAMES = [
    f"{sign:03d}_{signer:03d}_{k:03d}.mp4"
    for sign in (1, 2, 64)
    for signer in range(1, 11)
    for k in range(1, 6)
]


@pytest.mark.parametrize("src", [".", "all"])
def test_lsa64_has_its_labels_and_signers_in_the_names(tmp_path, src):
    touch(tmp_path / "all", *NAMES)
    manifest = read_manifest(tmp_path / src)
    assert manifest.glosses == ("001", "002", "064")
    for instance in manifest.instances:
        sign, signer, _ = instance.video_id.split("_")
        assert (instance.gloss, instance.signer_id) == (sign, int(signer))
        assert instance.path == str(tmp_path / "all" / f"{instance.video_id}.mp4")
    counts = Counter((i.gloss, i.split) for i in manifest.instances)
    assert [counts["064", split] for split in SPLITS] == [34, 9, 7]
    assert manifest.splits_from == "a hash of the names, as no split is given"
    assert "--split-by signer makes splits" in manifest.notes[0]


def test_lsa64_by_signers(tmp_path):
    touch(tmp_path, *NAMES)
    splits = {}
    for instance in read_manifest(tmp_path, split_by="signer").instances:
        splits.setdefault(instance.signer_id, set()).add(instance.split)
    assert all(len(split) == 1 for split in splits.values())
    assert Counter(split for (split,) in splits.values()) == {
        "train": 7,
        "val": 2,
        "test": 1,
    }


def test_one_other_name_and_it_is_no_lsa64(tmp_path):
    touch(tmp_path, *NAMES, "intro.mp4")
    with pytest.raises(ManifestError, match="no annotations for the 151 videos in"):
        read_manifest(tmp_path)
