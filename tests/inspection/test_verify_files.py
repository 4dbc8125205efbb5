"""The files of a folder, checked against each other."""

import json

from wlasl_tfrecord.inspection.verify_files import verify_files
from wlasl_tfrecord.shard_format import layout, shard_folder


def faults(directory):
    folder = shard_folder.load_folder(directory, check_shards=False)
    return [str(damage) for damage in verify_files(folder)]


def test_a_file_that_no_split_names_is_a_fault(tmp_path, write_folder):
    directory = write_folder(tmp_path / "shards")
    (directory / layout.shard_name("train", 2, 3)).touch()
    (directory / "notes.txt").touch()
    assert faults(directory) == [
        "wlasl-train.tfrecord-00002-of-00003: no split names this file"
    ]


def test_dataset_info_and_labels_are_held_against_the_index(tmp_path, write_folder):
    directory = write_folder(tmp_path / "shards")
    path = directory / "dataset_info.json"
    info = json.loads(path.read_text())
    info["splits"][0]["shardLengths"][0] = "99"
    path.write_text(json.dumps(info))
    (directory / layout.LABELS_FILE).write_text("book\n")
    (directory / "features.json").write_text("{}")
    assert faults(directory) == [
        "dataset_info.json: its numbers of train are not those of index.json",
        "clip.label.index.labels.txt: it does not say the index's glosses",
        "features.json: it does not describe the records of this format",
    ]
    del info["splits"][0]
    path.write_text(json.dumps(info))
    assert faults(directory)[0] == (
        "dataset_info.json: it has the splits ['val'], the index ['train', 'val']"
    )
    path.write_text('{"version": "1.0.0"}')
    assert faults(directory)[0] == (
        "dataset_info.json: it is damaged (KeyError: 'splits')"
    )
    (directory / layout.LABELS_FILE).unlink()
    (directory / "features.json").write_text("{")
    assert "clip.label.index.labels.txt: cannot be read: " in faults(directory)[1]
    assert "features.json: cannot be read: " in faults(directory)[2]


def test_a_features_json_beside_sequence_examples_is_a_fault(tmp_path, write_folder):
    directory = write_folder(tmp_path / "shards", codec="jpeg")
    (directory / "features.json").write_text("{}")
    assert faults(directory) == [
        "features.json: TFDS cannot read jpeg records, this says it can"
    ]
