"""ASL Citizen as it is downloaded."""

import os

import pytest
from annotations import touch

from wlasl_tfrecord.annotations.reader import read_manifest
from wlasl_tfrecord.errors import ManifestError

ROWS = {
    "train": "P52,15890366051589533-APPLE.mp4,APPLE,B_01\nP7,46-seedDOG 1.mp4,DOG1,B",
    "val": "P9,7710-HE.mp4,HE,B_03_055",
    "test": "P9,4.7299129501-DOG.mp4,DOG1,B_02_020\nP9,gone.mp4,APPLE,B",
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "splits").mkdir()
    for split, rows in ROWS.items():
        text = f"Participant ID,Video file,Gloss,ASL-LEX Code\n{rows}\n"
        (tmp_path / "splits" / f"{split}.csv").write_text(text)
    names = ["15890366051589533-APPLE", "46-seedDOG 1", "7710-HE", "4.7299129501-DOG"]
    touch(tmp_path / "videos", *[f"{name}.mp4" for name in names])
    return tmp_path


@pytest.mark.parametrize("src", [".", "videos"])
def test_asl_citizen_has_its_own_labels_splits_and_signers(folder, src):
    manifest = read_manifest(folder / src)
    assert manifest.glosses == ("APPLE", "DOG1", "HE")
    assert [
        (i.video_id, i.label, i.split, i.signer_id, bool(i.path))
        for i in manifest.instances
    ] == [
        ("15890366051589533-APPLE.mp4", 0, "train", 52, True),
        ("46-seedDOG 1.mp4", 1, "train", 7, True),
        ("7710-HE.mp4", 2, "val", 9, True),
        ("4.7299129501-DOG.mp4", 1, "test", 9, True),
        ("gone.mp4", 0, "test", 9, False),
    ]
    assert manifest.instances[0].path == str(
        folder / "videos" / "15890366051589533-APPLE.mp4"
    )
    assert manifest.notes == (
        "signers take the number in their name: P52 is 52",
        f"{os.path.normpath(folder / src)} is read as asl-citizen; --format names "
        "another format",
    )


def test_tables_without_their_videos_say_why(folder):
    for path in (folder / "videos").iterdir():
        path.rename(path.with_suffix(".mov"))
    with pytest.raises(
        ManifestError, match=r"none of the 5 videos .* another extension"
    ):
        read_manifest(folder)
