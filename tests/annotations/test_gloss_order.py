"""The labels of a table: by numbers, by a list of classes, or as they come."""

import pytest

from wlasl_tfrecord.annotations.gloss_order import order_glosses

ONE = "first appearance in the table"
NUMBERS = "numbers in the table"


@pytest.mark.parametrize(
    ("rows", "glosses", "labels_from"),
    [
        ([("drink", ""), ("book", ""), ("drink", "")], ("drink", "book"), ONE),
        ([("10", ""), ("9", ""), ("10", "")], ("9", "10"), NUMBERS),
        # A program that met an empty cell makes decimals of all.
        ([("1.0", ""), ("1", ""), ("0.0", "")], ("0", "1"), NUMBERS),
        ([("007", ""), ("3", "")], ("007", "3"), ONE),
        ([("drink", "1"), ("book", "0"), ("drink", "1.0")], ("book", "drink"), NUMBERS),
    ],
)
def test_glosses_are_ordered(tmp_path, rows, glosses, labels_from):
    order = order_glosses(rows, str(tmp_path))
    assert (order.glosses, order.labels_from, order.note) == (
        glosses,
        labels_from,
        None,
    )
    assert set(order.words.values()) == set(glosses)


@pytest.mark.parametrize(
    "rows",
    [
        [("drink", "2"), ("book", "0")],
        [("drink", "1"), ("book", "1")],
        [("drink", "1"), ("book", "0"), ("drink", "0")],
        [("drink", "1"), ("book", "")],
        [("drink", "noun"), ("book", "noun")],
    ],
)
def test_a_second_column_that_is_no_numbering_is_remarked(tmp_path, rows):
    order = order_glosses(rows, str(tmp_path))
    assert order.glosses == ("drink", "book")
    assert order.note == (
        "the column of class numbers is not used: it does not have the numbers 0 "
        "to 1, one for each gloss"
    )


@pytest.mark.parametrize("place", [".", ".."])
def test_numbers_are_the_words_of_classes_txt(tmp_path, place):
    src = tmp_path / "v"
    src.mkdir()
    (src / place / "classes.txt").write_text("hello\nbye\nyes\n")
    order = order_glosses([("2", ""), ("0.0", "")], str(src))
    assert order.glosses == ("hello", "bye", "yes")
    assert order.words == {"2": "yes", "0.0": "hello"}
    assert order.labels_from.startswith("numbers in the table, words of ")
    # Too few words for these numbers: they are not the words of them.
    assert order_glosses([("3", "")], str(src)).glosses == ("3",)
