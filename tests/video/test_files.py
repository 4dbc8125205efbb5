"""Which file is whose video, and that none lies outside of the folder."""

import os
import random
import unicodedata

import pytest
from annotations import by_id, touch, wlasl_json, wlasl_row

from wlasl_tfrecord.annotations.reader import read_manifest
from wlasl_tfrecord.video.files import list_folder


def test_the_videos_may_lie_in_a_folder_of_that_name(tmp_path):
    touch(tmp_path, "videos/1.mp4")
    wlasl_json(tmp_path / "WLASL_v0.3.json", {"book": [wlasl_row("1")]})
    (instance,) = read_manifest(tmp_path).instances
    assert instance.path == str(tmp_path / "videos" / "1.mp4")


@pytest.mark.parametrize("other", ["intro.mp4", "2/01.png", "3.mp4"])
def test_what_lies_beside_videos_hides_none_of_them(tmp_path, other):
    touch(tmp_path, other, "videos/1.mp4", "videos/3.mp4")
    wlasl_json(tmp_path / "a.json", {"book": [wlasl_row("1"), wlasl_row("3")]})
    paths = [instance.path for instance in read_manifest(tmp_path).instances]
    assert paths == [str(tmp_path / "videos" / f"{k}.mp4") for k in (1, 3)]


def test_a_folder_of_other_videos_takes_no_video_away(tmp_path):
    touch(tmp_path, "1.mp4", "videos/intro.mp4")
    wlasl_json(tmp_path / "a.json", {"book": [wlasl_row("1")]})
    assert read_manifest(tmp_path).instances[0].path == str(tmp_path / "1.mp4")


def test_extensions_count_in_any_case_and_mp4_goes_first(tmp_path):
    touch(tmp_path, "1.AVI", "2.mov", "3.WebM", "4.mkv", "4.Mp4", "5.gif")
    wlasl_json(tmp_path / "a.json", {"book": [wlasl_row(str(k)) for k in range(1, 6)]})
    manifest = read_manifest(tmp_path, annotations=tmp_path / "a.json")
    names = [os.path.basename(i.path or "missing") for i in manifest.instances]
    assert names == ["1.AVI", "2.mov", "3.WebM", "4.Mp4", "missing"]


@pytest.mark.parametrize("suffix", ["m4v", "FLV", "swf", "mpg", "wmv", "3gp", "MTS"])
def test_what_a_json_names_is_found_in_any_container(tmp_path, suffix):
    touch(tmp_path / "videos", f"00001.{suffix}")
    wlasl_json(tmp_path / "WLASL_v0.3.json", {"book": [wlasl_row("00001")]})
    (instance,) = read_manifest(tmp_path / "videos").instances
    assert instance.path == str(tmp_path / "videos" / f"00001.{suffix}")
    assert instance.problem is None


@pytest.mark.parametrize("name", ["00001.mp4.webm", "00001.f137.mp4", "00001.MP4.mp4"])
def test_names_of_downloads_lead_to_their_ids(tmp_path, name):
    touch(tmp_path, name)
    wlasl_json(tmp_path / "a.json", {"book": [wlasl_row("00001")]})
    assert read_manifest(tmp_path).instances[0].path == str(tmp_path / name)
    touch(tmp_path, "00001.swf")
    assert read_manifest(tmp_path).instances[0].path == str(tmp_path / "00001.swf")


@pytest.mark.parametrize(
    "name",
    ["2.gif", "2.ts", "2.mp4.part", "2.MP4.crdownload", "2.unknown_video", "2"],
)
def test_a_file_that_is_not_read_is_not_called_missing(tmp_path, name):
    touch(tmp_path, "1.mp4", name)
    wlasl_json(tmp_path / "a.json", {"book": [wlasl_row("1"), wlasl_row("2")]})
    other = by_id(read_manifest(tmp_path))["2"]
    assert (other.path, other.problem) == (
        None,
        f"{name} is of a format that is not read",
    )


@pytest.mark.parametrize("in_json", ["NFC", "NFD"])
@pytest.mark.parametrize("on_disk", ["NFC", "NFD"])
def test_an_id_and_a_name_may_be_in_other_unicode_forms(tmp_path, in_json, on_disk):
    name = unicodedata.normalize(on_disk, "café")
    touch(tmp_path, f"{name}.mp4")
    video_id = unicodedata.normalize(in_json, "café")
    wlasl_json(tmp_path / "a.json", {"book": [wlasl_row(video_id)]})
    (instance,) = read_manifest(tmp_path).instances
    assert instance.path == str(tmp_path / f"{name}.mp4")


def test_folders_of_a_system_are_no_videos(tmp_path):
    touch(tmp_path, "1.mp4", "@eaDir/1.mp4/SCREENSHOT1.jpg", "__MACOSX/01.jpg")
    assert [entry.name for entry in list_folder(str(tmp_path))] == ["1.mp4"]


def test_a_folder_of_numbered_images_is_a_video(tmp_path):
    touch(tmp_path, "1/img_0001.jpg", "2/0.PNG", "3/notes.txt", "4/cover.png")
    wlasl_json(tmp_path / "a.json", {"book": [wlasl_row(str(k)) for k in range(1, 5)]})
    found = by_id(read_manifest(tmp_path))
    assert found["1"].path == str(tmp_path / "1")
    assert found["1"].problem is found["2"].problem is None
    assert found["3"].problem == "it is a folder without numbered images"
    assert found["4"].problem == "it is a folder without numbered images"


def test_results_do_not_depend_on_the_order_of_a_listing(tmp_path, monkeypatch):
    touch(tmp_path / "a", *[f"{gloss}/{k}.mp4" for gloss in "ab" for k in range(9)])
    touch(tmp_path / "b", "1.mp4", "1.MP4", "1.avi", "2.mp4")
    wlasl_json(tmp_path / "b" / "a.json", {"book": [wlasl_row("1"), wlasl_row("2")]})
    before = read_manifest(tmp_path / "a"), read_manifest(tmp_path / "b")
    scandir = os.scandir

    class Shuffled(list):
        def __iter__(self):
            return self

        def __next__(self):
            if not self:
                raise StopIteration
            return self.pop()

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

    def shuffled(path):
        entries = Shuffled(scandir(path))
        random.Random(str(path)).shuffle(entries)
        return entries

    monkeypatch.setattr(os, "scandir", shuffled)
    assert (read_manifest(tmp_path / "a"), read_manifest(tmp_path / "b")) == before


def test_names_that_are_odd_or_no_unicode_keep_their_videos(tmp_path):
    names = [
        'it\'s a "b".mp4',
        "new\nline.mp4",
        "déjà vu.mp4",
        os.fsdecode(b"\xe9.mp4"),
    ]
    try:
        touch(tmp_path, *[f"book/{name}" for name in names])
    except OSError:
        pytest.skip("this file system only takes names in Unicode")
    found = by_id(read_manifest(tmp_path))
    assert set(found) == {
        'book/it\'s a "b".mp4',
        "book/new\\nline.mp4",
        "book/déjà vu.mp4",
        "book/\\xe9.mp4",
    }
    for instance in found.values():
        assert instance.path is not None
        assert os.path.exists(instance.path)
        instance.video_id.encode()


def test_an_id_never_leads_out_of_the_folder(tmp_path):
    touch(tmp_path, "secret.mp4", "src/1.mp4")
    ids = ["../secret", "../../etc/passwd", str(tmp_path / "secret"), ".."]
    wlasl_json(
        tmp_path / "src" / "a.json",
        {"book": [wlasl_row("1"), *map(wlasl_row, ids)]},
    )
    good, *bad = read_manifest(tmp_path / "src").instances
    assert good.path is not None
    assert [instance.path for instance in bad] == [None] * 4
    for instance in bad[:3]:
        assert instance.problem == "its id cannot be the name of a file"


def test_links_inside_the_folder_are_followed_and_others_are_not(tmp_path):
    touch(tmp_path, "secret.mp4", "pictures/1.png", "src/real/0.mp4")
    src = tmp_path / "src"
    (src / "in.mp4").symlink_to(src / "real" / "0.mp4")
    (src / "out.mp4").symlink_to(tmp_path / "secret.mp4")
    (src / "loop.mp4").symlink_to(src / "loop.mp4")
    (src / "dangling.mp4").symlink_to(src / "nothing.mp4")
    (src / "folder").symlink_to(tmp_path / "pictures")
    (src / "images").mkdir()
    (src / "images" / "1.png").symlink_to(tmp_path / "secret.mp4")
    (src / "directory.mp4").mkdir()
    os.mkfifo(src / "pipe.mp4")
    ids = ["in", "out", "loop", "dangling", "folder", "images", "directory", "pipe"]
    wlasl_json(src / "a.json", {"book": [wlasl_row(video_id) for video_id in ids]})
    problems = {i.video_id: i.problem for i in read_manifest(src).instances}
    assert problems == {
        "in": None,
        "out": "it leads outside the folder of videos",
        "loop": "cannot be read: Too many levels of symbolic links",
        "dangling": "cannot be read: No such file or directory",
        "folder": "it leads outside the folder of videos",
        "images": "an image of it leads outside the folder of videos",
        "directory": "it is a folder without numbered images",
        "pipe": "it is neither a file nor a folder",
    }


def test_a_linked_src_is_taken_as_it_is(tmp_path):
    touch(tmp_path, "real/book/1.mp4", "real/book/2.mp4")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert all(i.problem is None for i in read_manifest(tmp_path / "link").instances)
