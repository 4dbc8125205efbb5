"""Checks of the values of annotations."""

import pytest

from wlasl_tfrecord.annotations.checks import unique_ids
from wlasl_tfrecord.annotations.manifest import Instance
from wlasl_tfrecord.errors import ManifestError


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
