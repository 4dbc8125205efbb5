"""An instance, and what the manifest says of all."""

import pytest

from wlasl_tfrecord.annotations.manifest import Instance, Manifest


def test_an_instance_checks_itself():
    with pytest.raises(ValueError, match=r"split must be one of .*, got 'dev'"):
        Instance(video_id="1", gloss="a", label=0, split="dev")
    with pytest.raises(ValueError, match="label must be at least 0, got -1"):
        Instance(video_id="1", gloss="a", label=-1, split="val")


def manifest(num_glosses):
    return Manifest(
        instances=tuple(
            Instance(
                video_id=str(k),
                gloss=f"g{k}",
                label=k,
                split="val" if k % 4 == 3 else "train",
            )
            for k in range(num_glosses)
        ),
        glosses=tuple(f"g{k}" for k in range(num_glosses)),
        annotations="a.csv",
        labels_from="the order",
        splits_from="the table",
    )


def test_the_summary_shows_what_was_understood():
    assert manifest(8).summary() == (
        "8 instances in a.csv",
        "glosses: 8, by the order: 0 'g0', 1 'g1', 2 'g2', 3 'g3', 4 'g4', 5 'g5', "
        "6 'g6', 7 'g7'",
        "splits: 6 train, 2 val, 0 test, by the table",
    )
    assert manifest(2000).summary() == (
        "2,000 instances in a.csv",
        "glosses: 2,000, by the order: 0 'g0', 1 'g1', 2 'g2', 3 'g3' … 1997 'g1997', "
        "1998 'g1998', 1999 'g1999'",
        "splits: 1,500 train, 500 val, 0 test, by the table",
    )


def test_glosses_in_another_order_keep_their_instances():
    other = manifest(3).relabelled(["g2", "g0", "g1"], "the alphabet")
    assert other.glosses == ("g2", "g0", "g1")
    assert other.labels_from == "the alphabet"
    assert all(i.gloss == other.glosses[i.label] for i in other.instances)
