"""Checks of the values of annotations."""

import pytest

from wlasl_tfrecord.annotations.checks import checked_gloss, unique_ids
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


@pytest.mark.parametrize(
    ("gloss", "word"),
    [
        (" good bye ", "good bye"),
        ("good\u00a0bye", "good bye"),
        ("good  bye", "good bye"),
        ("\ufeffhello\u200b", "hello"),
        ("soft\u00adhyphen", "softhyphen"),
        ("cafe\u0301", "caf\u00e9"),
        # A joiner makes it another word of Persian.
        ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", None),
    ],
)
def test_words_that_look_alike_are_one(gloss, word):
    assert checked_gloss(gloss, "here") == (word or gloss)


def test_a_word_of_nothing_visible_is_none():
    with pytest.raises(ManifestError, match="here: a gloss must be one line of text"):
        checked_gloss("\u200b \ufeff", "here")
