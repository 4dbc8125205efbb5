"""Lists of words, which fix labels."""

import pytest

from wlasl_tfrecord.annotations.class_list import read_class_list
from wlasl_tfrecord.errors import ManifestError


@pytest.mark.parametrize(
    "text",
    [
        "book\ndrink\n",
        "0\tbook\n1\tdrink",
        "\ufeffbook\r\n\r\n drink \r\n",
        "book\ndrink ",
    ],
)
def test_a_list_has_one_word_a_line(tmp_path, text):
    path = tmp_path / "classes.txt"
    path.write_text(text, "utf-8", newline="")
    assert read_class_list(path) == ("book", "drink")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"0\tbook\n2\tcar\n", "line 2 must start with index 1, got '2'"),
        (b"0\tbook\n1\tbook\n", "'book' occurs twice"),
        ("caf\u00e9\ncafe\u0301\n".encode(), "'caf\u00e9' occurs twice"),
        (b"0\t\n", "line 1: a gloss must be one line of text"),
        (b"\xff\xfe", "is not text in UTF-8"),
    ],
)
def test_a_damaged_list_is_one_line(tmp_path, content, message):
    path = tmp_path / "classes.txt"
    path.write_bytes(content)
    with pytest.raises(ManifestError, match=message):
        read_class_list(path)


def test_a_list_that_cannot_be_read_says_so(tmp_path):
    with pytest.raises(ManifestError, match=r"cannot read .*: No such file"):
        read_class_list(tmp_path / "classes.txt")
