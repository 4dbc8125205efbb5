"""Folders of videos that are no glosses."""

import unicodedata

import pytest
from annotations import touch

from wlasl_tfrecord.annotations.reader import read_manifest
from wlasl_tfrecord.errors import ManifestError


@pytest.mark.parametrize(
    ("folders", "named"),
    [
        (["videos"], "'videos'"),
        (["all"], "'all'"),
        (["raw_videos"], "'raw_videos'"),
        (["data"], "'data'"),
        (["Raw Videos", "hello"], "'Raw Videos'"),
        (["hello", "bye", "clips"], "'clips'"),
        (["train", "val", "test"], "'test', 'train', 'val'"),
        (["Train", "Test"], "'Test', 'Train'"),
        (["training", "validation", "testing"], "'testing', 'training', 'validation'"),
        (["train/videos", "test/videos"], "'videos'"),
        (["train/all", "test/all"], "'all'"),
        (["day1", "day2"], "'day1', 'day2'"),
        (["signer01", "Signer 2", "signer_3"], "'Signer 2', 'signer01', 'signer_3'"),
        (["p01", "P2"], "'P2', 'p01'"),
        (["2024-05-01", "2024-05-02"], "'2024-05-01', '2024-05-02'"),
        ([f"part{k}" for k in range(5)], "'part0', 'part1', 'part2' and 2 more"),
    ],
)
def test_a_folder_that_only_holds_videos_is_refused_by_name(tmp_path, folders, named):
    touch(tmp_path, *[f"{folder}/{k}.mp4" for folder in folders for k in range(2)])
    with pytest.raises(ManifestError) as info:
        read_manifest(tmp_path)
    message = f"lie in {named}, which are not names of signs. Put the videos"
    assert message in str(info.value)
    assert "list all signs in classes.txt" in str(info.value)


@pytest.mark.parametrize(
    "folders",
    [
        # All of them are in WLASL.
        ["all", "book", "sign", "label", "train", "test", "drink", "zero"],
        ["#JOB", "data", "yes"],
        ["day", "day1", "hello"],
    ],
)
def test_signs_with_such_names_among_others_are_signs(tmp_path, folders):
    touch(tmp_path, *[f"{folder}/{k}.mp4" for folder in folders for k in range(2)])
    assert set(read_manifest(tmp_path).glosses) == set(folders)


@pytest.mark.parametrize("folders", [["all"], ["videos", "clips"], ["Hello", "hello"]])
def test_classes_txt_makes_any_name_a_sign(tmp_path, folders):
    touch(tmp_path, *[f"{folder}/1.mp4" for folder in folders])
    (tmp_path / "classes.txt").write_text("\n".join(folders))
    manifest = read_manifest(tmp_path)
    assert list(manifest.glosses) == folders
    assert manifest.labels_from == str(tmp_path / "classes.txt")


@pytest.mark.parametrize("splits", [("", ""), ("train/", "test/")])
def test_folders_that_differ_in_capitals_are_refused(tmp_path, splits):
    touch(tmp_path, f"{splits[0]}Hello/1.mp4", f"{splits[1]}hello/2.mp4")
    with pytest.raises(
        ManifestError,
        match=r"folders 'Hello' and 'hello' in .* differ only in capitals",
    ):
        read_manifest(tmp_path)


def test_two_words_that_only_look_alike_are_two_signs(tmp_path):
    # German measures and masses: casefold would make one word of them.
    touch(tmp_path, "Maße/1.mp4", "Masse/2.mp4")
    assert read_manifest(tmp_path).glosses == ("Masse", "Maße")


@pytest.mark.parametrize(
    "splits", [("", ""), ("train/", "train/"), ("train/", "test/")]
)
def test_two_unicode_forms_of_a_word_are_one_sign(tmp_path, splits):
    composed, decomposed = (unicodedata.normalize(f, "café") for f in ("NFC", "NFD"))
    touch(tmp_path, f"{splits[0]}{composed}/1.mp4", f"{splits[1]}{decomposed}/2.mp4")
    touch(tmp_path, f"{splits[0]}hello/1.mp4")
    manifest = read_manifest(tmp_path)
    assert manifest.glosses == (composed, "hello")
    assert [i.label for i in manifest.instances if "2.mp4" in i.video_id] == [0]


@pytest.mark.parametrize(
    "name",
    ["@eaDir", "__MACOSX", ".AppleDouble", "lost+found", "$RECYCLE.BIN", "#recycle"],
)
@pytest.mark.parametrize("place", ["", "train/"])
def test_what_a_system_makes_is_never_a_sign(tmp_path, name, place):
    touch(tmp_path, f"{place}hello/1.mp4", f"{place}bye/1.mp4")
    before = read_manifest(tmp_path)
    touch(tmp_path, f"{place}{name}/1.mp4", f"{place}{name}/2.mp4/SCREENSHOT1.jpg")
    touch(tmp_path, f"{place}hello/{name}/1.mp4/SCREENSHOT1.jpg")
    assert read_manifest(tmp_path) == before
    assert before.glosses == ("bye", "hello")


def test_one_sign_alone_is_read_and_remarked(tmp_path):
    # A folder that holds everything may have any name: the summary shows it.
    touch(tmp_path, "mine/1.mp4", "mine/2.mp4")
    assert read_manifest(tmp_path).summary()[1] == (
        "glosses: 1, by names of folders: 0 'mine'; there is only one"
    )


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (["anna/book.mp4", "anna/drink.mp4", "ben/book.mp4", "ben/drink.mp4"], "book"),
        (
            ["front/book_1.mp4", "front/go_2.mp4", "side/book_1.mp4", "side/go_1.mp4"],
            "book",
        ),
        (["train/anna/Book.mp4", "train/anna/go.mp4", "test/ben/book-2.mp4"], None),
        (
            [
                *("train/anna/Book.mp4", "train/anna/go.mp4"),
                *("test/ben/book-2.mp4", "test/ben/go.mp4"),
            ],
            "book",
        ),
        # Files named by people are no other thing to see.
        (["book/anna.mp4", "book/ben.mp4", "go/anna.mp4", "go/ben.mp4"], "anna"),
        # Of three people one lacks a sign, and one has another.
        (
            [
                *("anna/book.mp4", "anna/go.mp4", "ben/book.mp4"),
                *("carl/go.mp4", "carl/book.mp4", "carl/yes.mp4"),
            ],
            "book",
        ),
    ],
)
def test_folders_of_people_or_cameras_are_refused(tmp_path, names, shown):
    touch(tmp_path, *names)
    if shown is None:
        assert len(read_manifest(tmp_path).glosses) == 2
        return
    message = (
        f"^either the folders or the files of .*: '{shown}' is a video in '.*' and"
    )
    with pytest.raises(ManifestError, match=message) as info:
        read_manifest(tmp_path)
    assert "Say --annotations none if the folders are the signs; if" in str(info.value)
    # Who says what they are is believed.
    folders = {name.split("/")[-2] for name in names}
    assert set(read_manifest(tmp_path, annotations="none").glosses) == folders
    assert set(read_manifest(tmp_path, annotation_format="folders").glosses) == folders
    (tmp_path / "classes.txt").write_text("\n".join(sorted(folders)))
    assert set(read_manifest(tmp_path).glosses) == folders


@pytest.mark.parametrize(
    "files",
    [
        ["1.mp4", "2.mp4"],
        ["front.mp4", "left.mp4", "right.mp4"],
        ["video_1.mp4", "video_2.mp4"],
        ["anna.mp4", "1.mp4"],
        ["IMG_0001.MOV", "MVI_0002.mp4", "clip (3).mp4"],
        ["a.mp4", "b.mp4"],
        ["signer1_rep2.mp4", "signer2_rep1.mp4"],
        ["00335.mp4", "dQw4w9WgXcQ.mp4"],
        ["FOLDER_1.mp4", "FOLDER_front_2.mp4"],
        ["train0.mp4", "val_1.mp4", "dev.mp4"],
        ["one.mp4", "two.mp4"],
    ],
)
def test_names_that_are_no_words_tell_nothing(tmp_path, files):
    for folder in ("book", "drink", "go"):
        touch(tmp_path / folder, *[name.replace("FOLDER", folder) for name in files])
    assert read_manifest(tmp_path).glosses == ("book", "drink", "go")
