"""An instance, and the ids of all."""

import pytest

from wlasl_tfrecord.annotations.checks import unique_ids
from wlasl_tfrecord.annotations.manifest import Instance
from wlasl_tfrecord.errors import ManifestError


def test_an_instance_checks_itself():
    with pytest.raises(ValueError, match=r"split must be one of .*, got 'dev'"):
        Instance(video_id="1", gloss="a", label=0, split="dev")
    with pytest.raises(ValueError, match="label must be at least 0, got -1"):
        Instance(video_id="1", gloss="a", label=-1, split="val")


def test_unique_ids_shows_a_long_id_shortened():
    twins = [Instance(video_id="x" * 999, gloss="a", label=0, split="val")]
    unique_ids(twins, "a.json")
    with pytest.raises(ManifestError, match=r"'x{70,80}.* occurs twice") as info:
        unique_ids(
            [
                *twins,
                Instance(video_id="x" * 999, gloss="b", label=1, split="val"),
            ],
            "a.json",
        )
    assert len(str(info.value)) < 300
