from wlasl_tfrecord.inspection.summary import summarize, summary_text
from wlasl_tfrecord.shard_format import shard_folder


def test_a_summary_counts_what_the_index_lists(tmp_path, write_folder):
    directory = write_folder(
        tmp_path / "shards", {"train": 8, "val": 2}, glosses=("book", "drink", "car")
    )
    summary = summarize(shard_folder.load_folder(directory))
    assert summary.codec == "raw"
    assert summary.clip_shape == (5, 16, 24, 3)
    train = summary.splits["train"]
    assert (train.num_clips, train.num_shards) == (8, 2)
    sizes = [p.stat().st_size for p in directory.glob("wlasl-train.tfrecord-*")]
    assert train.num_bytes == sum(sizes)
    assert (train.num_glosses, train.fewest_clips, train.most_clips) == (3, 2, 3)
    assert (train.num_signers, train.num_unknown_signers) == (4, 0)
    assert summary.glosses_without == {"train": (), "val": ("car",)}
    assert summary.shared_signers == {"train and val": 2}


def test_a_summary_says_that_clips_have_landmarks(tmp_path, write_folder):
    for has_landmarks in (False, True):
        directory = write_folder(
            tmp_path / str(has_landmarks), {"train": 2}, landmarks=has_landmarks
        )
        text = summary_text(summarize(shard_folder.load_folder(directory)))
        line = "landmarks of each frame: left hand 21, right hand 21, pose 25"
        assert (line in text.splitlines()) == has_landmarks
