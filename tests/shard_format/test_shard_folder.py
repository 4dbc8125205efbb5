import json
import os
import subprocess
import sys

import pytest
from forged_folders import edit_json, write_table

from wlasl_tfrecord.errors import ShardFolderError, StoreError
from wlasl_tfrecord.shard_format import layout, shard_folder
from wlasl_tfrecord.shard_format.clips import ClipSpec


def test_a_folder_says_what_it_holds(write_folder, tmp_path):
    folder = shard_folder.load_folder(write_folder(tmp_path / "shards"))
    assert folder.clip == ClipSpec(num_frames=5, height=16, width=24)
    assert folder.glosses == ("book", "drink", "computer")
    assert folder.num_classes == 3
    assert folder.splits == ("train", "val")
    assert folder.num_clips("train") == 7
    assert [shard.name for shard in folder.split_shards("val")] == [
        "wlasl-val.tfrecord-00000-of-00002",
        "wlasl-val.tfrecord-00001-of-00002",
    ]


def test_a_notebook_shows_a_folder_in_one_line(write_folder, tmp_path):
    directory = write_folder(tmp_path / "shards", num_shards=20)
    assert repr(shard_folder.load_folder(directory)) == (
        f"<ShardFolder {directory}: 3 glosses, 7 train, 3 val clips of 5 frames, "
        "24 x 16, raw, center>"
    )


def test_a_folder_says_whether_it_has_landmarks(write_folder, tmp_path):
    without = write_folder(tmp_path / "without", {"train": 2})
    directory = write_folder(tmp_path / "with", {"train": 2}, landmarks=True)
    assert not shard_folder.load_folder(without).has_landmarks
    folder = shard_folder.load_folder(directory)
    assert folder.has_landmarks
    assert repr(folder).endswith("raw, center, landmarks>")
    versions = [
        json.loads((one / layout.INFO_FILE).read_text())["version"]
        for one in (without, directory)
    ]
    assert versions == ["1.0.0", "1.1.0"]


def test_a_folder_is_read_without_tensorflow(write_folder, tmp_path):
    directory = write_folder(tmp_path / "shards")
    code = (
        "import sys; from wlasl_tfrecord import load_folder; "
        "from wlasl_tfrecord.shard_format import shard_folder; "
        f"shard_folder.load_records(load_folder({str(directory)!r}), 'train'); "
        "assert 'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_no_folder_and_no_shards_are_told_apart(tmp_path):
    with pytest.raises(
        ShardFolderError, match=r"cannot read the shard folder .*/none: "
    ):
        shard_folder.load_folder(tmp_path / "none")
    with pytest.raises(
        ShardFolderError, match=r"it has no index.json; run bin/shard fir"
    ):
        shard_folder.load_folder(tmp_path)


def test_a_missing_shard_is_named(write_folder, tmp_path):
    directory = write_folder(tmp_path / "shards")
    (directory / "wlasl-val.tfrecord-00001-of-00002").unlink()
    with pytest.raises(
        ShardFolderError, match=r"val\.tfrecord-00001-of-00002 is missing;"
    ):
        shard_folder.load_folder(directory)


@pytest.mark.parametrize("change", [-1, 1])
def test_a_shard_of_another_size_is_named(write_folder, tmp_path, change):
    directory = write_folder(tmp_path / "shards")
    shard = directory / "wlasl-train.tfrecord-00000-of-00002"
    size = shard.stat().st_size
    os.truncate(shard, size + change)
    message = f"00000-of-00002 has {size + change} bytes, the index says {size};"
    with pytest.raises(ShardFolderError, match=message):
        shard_folder.load_folder(directory)


def test_a_newer_format_is_refused(write_folder, tmp_path):
    directory = write_folder(tmp_path / "shards")
    edit_json(directory / layout.INFO_FILE, lambda info: info.update(version="2.0.0"))
    with pytest.raises(
        ShardFolderError, match=r"has shard format 2\.0\.0, this release "
    ):
        shard_folder.load_folder(directory)


def test_a_newer_minor_format_is_read(write_folder, tmp_path):
    directory = write_folder(tmp_path / "shards")
    before = shard_folder.load_records(shard_folder.load_folder(directory), "train")
    edit_json(directory / layout.INFO_FILE, lambda info: info.update(version="1.9.0"))

    def say_more(content):
        content["licence"] = "C-UDA"
        content["clip"]["fps"] = 25
        content["splits"]["train"]["seconds"] = 9
        content["splits"]["train"]["shards"][0]["sha256"] = "0"

    # What docs/shard-format.md section 2 lets a minor version add: keys and columns,
    # the columns in any place.
    edit_json(directory / layout.INDEX_FILE, say_more)
    lines = (directory / layout.record_table_file("train")).read_text().splitlines()
    write_table(
        directory,
        "train",
        [f"variation,{lines[0]}", *[f"0,{line}" for line in lines[1:]]],
    )
    folder = shard_folder.load_folder(directory)
    assert folder.num_clips("train") == 7
    records = shard_folder.load_records(folder, "train")
    assert records.video_ids == before.video_ids
    assert records.offsets.tolist() == before.offsets.tolist()


def test_a_url_with_a_password_is_refused_before_anybody_is_asked():
    with pytest.raises(StoreError, match="hdfs://host/shards was given with") as caught:
        shard_folder.load_folder("hdfs://me:hidden@host/shards")
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.pop("clip"),
        lambda content: content["clip"].update(height=0),
        lambda content: content.update(splits=[]),
        lambda content: content["splits"]["train"].update(shards=[{"name": "x"}]),
        lambda content: content.update(codec="gif"),
        lambda content: content["splits"].update(dev=content["splits"]["val"]),
        lambda content: content.update(glosses="book"),
        lambda content: content.update(options=[]),
    ],
)
def test_a_damaged_index_is_named(write_folder, tmp_path, change):
    directory = write_folder(tmp_path / "shards")
    edit_json(directory / layout.INDEX_FILE, change)
    with pytest.raises(
        ShardFolderError, match=r"index\.json is damaged .*run bin/shard"
    ):
        shard_folder.load_folder(directory)


def test_an_index_that_is_no_json_is_named(write_folder, tmp_path):
    directory = write_folder(tmp_path / "shards")
    (directory / layout.INDEX_FILE).write_bytes(b"\xff\xfe{")
    with pytest.raises(ShardFolderError, match=r"index\.json is damaged"):
        shard_folder.load_folder(directory)


def test_a_split_that_is_not_there_is_named(write_folder, tmp_path):
    folder = shard_folder.load_folder(write_folder(tmp_path / "shards"))
    with pytest.raises(ShardFolderError, match=r"no 'test' shards in .*has train, val"):
        folder.split_shards("test")


def test_a_url_is_opened_by_tensorflow(write_folder, tmp_path):
    # file:// is the one remote scheme that needs no network.
    directory = write_folder(tmp_path / "shards")
    folder = shard_folder.load_folder(f"file://{directory}")
    assert folder.num_clips("train") == 7
    assert len(shard_folder.load_records(folder, "val")) == 3
    with pytest.raises(ShardFolderError, match="cannot read the shard folder file://"):
        shard_folder.load_folder(f"file://{tmp_path}/none")


def test_names_are_those_of_beam_and_tfds():
    name = layout.shard_name("train", 3, 16)
    assert name == "wlasl-train.tfrecord-00003-of-00016"


def first_shard(content):
    return content["splits"]["train"]["shards"][0]


def test_the_number_of_shards_has_a_limit(shards, monkeypatch):
    monkeypatch.setattr(shard_folder, "MAX_SHARDS", 1)
    with pytest.raises(ShardFolderError, match="at most 1 train shards are possible"):
        shard_folder.load_folder(shards)


@pytest.mark.parametrize(
    ("forge", "message"),
    [
        (
            lambda c: c["clip"].update(num_frames=10**9),
            "num_frames must be at most",
        ),
        (lambda c: c["clip"].update(num_frames=True), "num_frames must be a whole num"),
        (lambda c: c["clip"].update(height=10**8), "a record holds less than 2 GiB"),
        (lambda c: c.update(codec=["raw"]), r"no codec \['raw'\]"),
        (lambda c: c.update(landmarks={"pose": 33}), "landmarks must be .*, got .*33"),
        (lambda c: c.update(landmarks=[]), r"landmarks must be .*, got \[\]"),
        (lambda c: c["glosses"].append(7), "a gloss must be one line of text, got 7"),
        (lambda c: c["glosses"].append(""), "must be one line of text, got ''"),
        (lambda c: c["glosses"].append("a\nb"), "a gloss must be one line of text"),
        (
            lambda c: c["glosses"].append("\ud800"),
            r"must be valid Unicode, got",
        ),
        (lambda c: c["glosses"].append("book"), "a gloss occurs twice"),
        (lambda c: c["glosses"].append("a" * 1001), "at most 1,000 characters, got 1"),
        (
            lambda c: c["glosses"].extend(map(str, range(20_000))),
            "at most 20,000 glosses are possible, got 20,003",
        ),
        (
            lambda c: first_shard(c).update(num_bytes=-1),
            "num_bytes must be from 0 ",
        ),
        (
            lambda c: first_shard(c).update(num_bytes=1.5),
            "num_bytes must be .*1.5",
        ),
        (
            lambda c: first_shard(c).update(num_records=2**70),
            "num_records must be ",
        ),
        (
            lambda c: first_shard(c).update(num_records=10**9),
            "cannot be 1000000000",
        ),
        (lambda c: first_shard(c).update(num_records=0), "bytes cannot be 0 records"),
        (
            lambda c: first_shard(c).update(num_records=4),
            "num_clips of train is 7",
        ),
        (lambda c: c["splits"]["train"].update(index_sha256="0"), "must be a SHA-256"),
        (lambda c: c["splits"]["train"].update(index_sha256=None), "must be a SHA-256"),
        # A name that leads out of the folder, or to another file of it.
        (
            lambda c: first_shard(c).update(name="../elsewhere"),
            "shard wlasl-train.tfrecord-00000-of-00002 is named '../elsewhere'",
        ),
        (
            lambda c: first_shard(c).update(name="wlasl-val.tfrecord-00000-of-00002"),
            "shard wlasl-train.tfrecord-00000-of-00002 is named 'wlasl-val",
        ),
        (lambda c: first_shard(c).update(name=7), "-00000-of-00002 is named 7"),
        (lambda c: c["splits"]["train"]["shards"].reverse(), "is named 'wlasl-train"),
    ],
)
@pytest.mark.parametrize("check_shards", [True, False])
def test_a_forged_index_is_refused(
    write_folder, tmp_path, forge, message, check_shards
):
    directory = write_folder(tmp_path / "shards")
    edit_json(directory / layout.INDEX_FILE, forge)
    with pytest.raises(ShardFolderError, match=rf"index\.json is damaged .*{message}"):
        shard_folder.load_folder(directory, check_shards=check_shards)


LINKED = ["index.json", "dataset_info.json", "wlasl-val.index.csv"]


@pytest.mark.parametrize("name", [*LINKED, "wlasl-train.tfrecord-00001-of-00002"])
def test_a_link_that_leaves_the_folder_is_refused_unless_asked_for(
    write_folder, tmp_path, name
):
    directory = write_folder(tmp_path / "shards")
    path = directory / name
    path.rename(tmp_path / "elsewhere")
    path.symlink_to("../elsewhere")
    for check_shards in (True, False):
        with pytest.raises(
            ShardFolderError, match=rf"{name} is a link to .*/elsewhere, outside of"
        ):
            shard_folder.load_folder(directory, check_shards=check_shards)
    assert shard_folder.load_folder(directory, allow_links=True).num_clips("train") == 7
    # Inside of the folder it leads to nothing of anybody else's.
    (tmp_path / "elsewhere").rename(directory / "kept")
    path.unlink()
    path.symlink_to("kept")
    assert shard_folder.load_folder(directory).num_clips("train") == 7


@pytest.mark.parametrize("name", ["index.json", "dataset_info.json"])
def test_files_that_would_hang_or_fill_the_memory_are_refused(
    write_folder, tmp_path, name
):
    directory = write_folder(tmp_path / "shards")
    path = directory / name
    path.write_text('{"version": ' * 50_000)
    with pytest.raises(ShardFolderError, match=r"is damaged .*nested too deep"):
        shard_folder.load_folder(directory)
    os.truncate(path, 2**40)
    with pytest.raises(ShardFolderError, match="it has 1,099,511,627,776 bytes"):
        shard_folder.load_folder(directory)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ShardFolderError, match=f"it has no {name}"):
        shard_folder.load_folder(directory)
