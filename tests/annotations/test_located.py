"""WLASL's videos, as its own scripts leave them behind."""

import os

import pytest
from annotations import by_id, touch, wlasl_json, wlasl_row

from wlasl_tfrecord.annotations.reader import read_manifest

URL = "https://www.youtube.com/watch?v="


def start_kit(folder):
    """Writes annotations of two signs of one YouTube video, and of other sources."""
    rows = [
        wlasl_row("00001", url=f"{URL}AAAAAAAAAA1", frame_start=76, frame_end=100),
        wlasl_row("00002", url=f"{URL}AAAAAAAAAA1", frame_start=201, frame_end=240),
        wlasl_row("00003", url="http://www.aslpro.com/main/b/book.swf"),
        wlasl_row("00004", url="http://aslbricks.org/New/ASL-Videos/book.mp4"),
        wlasl_row("00005", url="https://youtu.be/BBBBBBBBBB2"),
        wlasl_row("00006", url=f"{URL}CCCCCCCCCC3"),
    ]
    wlasl_json(folder / "WLASL_v0.3.json", {"book": rows})


DOWNLOADS = ("AAAAAAAAAA1.mp4", "00003.swf", "00004.mp4", "BBBBBBBBBB2.mkv")


@pytest.mark.parametrize("src", [".", "raw_videos"])
def test_downloads_are_found_by_the_url_and_cut_by_the_range(tmp_path, src):
    start_kit(tmp_path)
    raw = touch(tmp_path / "raw_videos", *DOWNLOADS, "other.mp4")
    manifest = read_manifest(tmp_path / src)
    names = {v: i.path and os.path.basename(i.path) for v, i in by_id(manifest).items()}
    assert names == {
        "00001": "AAAAAAAAAA1.mp4",
        "00002": "AAAAAAAAAA1.mp4",
        "00003": "00003.swf",
        "00004": "00004.mp4",
        "00005": "BBBBBBBBBB2.mkv",
        "00006": None,
    }
    ranges = [(i.start, i.stop, i.annotation_fps) for i in manifest.instances[:2]]
    assert ranges == [(75, 100, 25.0), (200, 240, 25.0)]
    note = next(note for note in manifest.notes if "downloads" in note)
    num = 3 if src == "raw_videos" else 5
    assert note == (
        f"videos found among the downloads of WLASL's own script: {num}, such as "
        f"{os.path.normpath(tmp_path / src / os.path.relpath(raw, tmp_path / src))}"
        f"/AAAAAAAAAA1.mp4"
    )


def test_a_cut_clip_goes_before_its_download(tmp_path):
    start_kit(tmp_path)
    touch(tmp_path, "videos/00001.mp4", "videos/00004.mp4")
    touch(tmp_path / "raw_videos", *DOWNLOADS)
    touch(tmp_path / "raw_videos_mp4", "00003.mp4")
    found = by_id(read_manifest(tmp_path))
    assert found["00001"].path == str(tmp_path / "videos" / "00001.mp4")
    assert found["00002"].path == str(tmp_path / "raw_videos" / "AAAAAAAAAA1.mp4")
    assert found["00003"].path == str(tmp_path / "raw_videos_mp4" / "00003.mp4")
    assert found["00004"].path == str(tmp_path / "videos" / "00004.mp4")


def test_an_address_never_leads_out_of_the_folder(tmp_path):
    src = tmp_path / "src"
    touch(tmp_path / "outside", "AAAAAAAAAA1.mp4")
    touch(src, "00004.mp4")
    start_kit(src)
    (src / "raw_videos").symlink_to(tmp_path / "outside")
    assert by_id(read_manifest(src))["00001"].path is None


def test_an_address_that_is_no_text_is_none(tmp_path):
    touch(tmp_path, "1.mp4")
    wlasl_json(tmp_path / "a.json", {"book": [wlasl_row("1", url=["x"])]})
    assert read_manifest(tmp_path).instances[0].url is None
