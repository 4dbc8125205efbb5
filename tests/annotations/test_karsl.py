"""KArSL as it is downloaded."""

from collections import Counter

import pytest
from annotations import touch

from wlasl_tfrecord.annotations.reader import read_manifest


@pytest.mark.parametrize("between", ["", "0001-0100/", "0001-0100/0001-0100/"])
@pytest.mark.parametrize("again", [False, True])
def test_karsl_has_its_labels_splits_and_signers_in_the_folders(
    tmp_path, between, again
):
    names = [
        f"{signer}/{f'{signer}/' if again else ''}{split}/{between}{sign}/{k}.mp4"
        for signer in ("01", "02", "03")
        for split, num in (("train", 5), ("test", 2))
        for sign in ("0001", "0071")
        for k in range(num)
    ]
    touch(tmp_path, *names, "01/intro.mp4")
    manifest = read_manifest(tmp_path)
    assert manifest.glosses == ("0001", "0071")
    assert Counter((i.gloss, i.split) for i in manifest.instances) == {
        (sign, split): num
        for sign in ("0001", "0071")
        for split, num in (("train", 12), ("val", 3), ("test", 6))
    }
    for instance in manifest.instances:
        assert instance.signer_id == int(instance.video_id[:2])
        assert f"/{instance.gloss}/" in instance.video_id
        if "/test/" in instance.video_id:
            assert instance.split == "test"
    assert "videos in other folders, which are left out: 1" in manifest.notes
    assert "no val folder, so a fifth of train is val" in manifest.splits_from


def test_frames_of_karsl_are_videos(tmp_path):
    for split in ("train", "val"):
        touch(tmp_path, *[f"01/{split}/0001/s1/{k:04d}.jpg" for k in range(3)])
        touch(tmp_path, *[f"01/{split}/0002/s1/{k:04d}.jpg" for k in range(3)])
    manifest = read_manifest(tmp_path)
    assert [i.video_id for i in manifest.instances] == [
        f"01/{split}/{sign}/s1"
        for split in ("train", "val")
        for sign in ("0001", "0002")
    ]
    assert [i.split for i in manifest.instances] == ["train", "train", "val", "val"]
    assert manifest.splits_from == "names of folders"


def test_signs_that_are_numbers_are_no_karsl(tmp_path):
    touch(tmp_path, *[f"{sign}/{k}.mp4" for sign in ("1", "02") for k in range(2)])
    assert read_manifest(tmp_path).glosses == ("02", "1")
