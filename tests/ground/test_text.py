import csv
import io
import json

import pytest

from wlasl_tfrecord import text


@pytest.mark.parametrize(
    "character", ["\n", "\x1b", "\x7f", "\x9b", "\u2028", "\u2029"]
)
def test_what_breaks_a_line_or_controls_a_terminal_is_a_control(character):
    assert text.is_control(character)


@pytest.mark.parametrize("character", ["a", " ", "é", "手", "\u200d", "🤟"])
def test_what_words_are_made_of_is_no_control(character):
    assert not text.is_control(character)
    assert text.printable(character) == character


def test_half_a_surrogate_pair_is_not_unicode():
    assert text.is_unicode("手🤟")
    assert not text.is_unicode("\ud83e")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("book", "'book'"),
        ("a\x1b[31m\n", r"'a\x1b[31m\n'"),
        ([1, "é"], r"[1, '\xe9']"),
        ("x" * 1000, "'" + "x" * 76 + "..."),
    ],
)
def test_any_value_is_shown_on_one_short_line(value, expected):
    assert text.shown(value) == expected


def test_a_value_that_cannot_be_shown_is_shown_by_its_type():
    # Python refuses to write integers of more than 4,300 digits.
    assert text.shown(10**5000) == "<int>"
    value = []
    for _ in range(100_000):
        value = [value]
    assert text.shown(value) == "<list>"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("手.mp4", "手.mp4"),
        # A byte that is no UTF-8, as Python reads it from a folder.
        ("caf\udce9.mp4", r"caf\xe9.mp4"),
        ("a\nb\x1b.mp4", r"a\nb\x1b.mp4"),
        # What no file is named, but JSON can hold.
        ("caf\ud800é.mp4", r"caf\ud800é.mp4"),
    ],
)
def test_a_file_name_is_one_line_of_unicode(name, expected):
    assert text.text_of(name) == expected


# What moves the cursor, sets a title, reorders a line or ends one.
HOSTILE = "\x1b]0;x\x07\x1b[2J\x9b1A\r\x08\u202e\u2066\u2028\x7f"


def test_nothing_that_is_printed_controls_a_terminal():
    shown = text.printable(HOSTILE)
    assert shown == (
        r"\u001b]0;x\u0007\u001b[2J\u009b1A\u000d\u0008\u202e\u2066\u2028\u007f"
    )
    assert text.printable("two\tcells\nand a line") == "two\tcells\nand a line"


def test_json_that_is_made_printable_has_the_same_content():
    line = json.dumps({"gloss": HOSTILE}, ensure_ascii=False)
    assert json.loads(text.printable(line)) == {"gloss": HOSTILE}


@pytest.mark.parametrize(
    "formula",
    ['=HYPERLINK("http://x")', "+1", "-1+cmd|' /C calc'!A0", "@SUM(1)", "\t=1", "\r=1"],
)
def test_a_cell_is_no_formula(formula):
    file = io.StringIO()
    csv.writer(file).writerow([text.cell_text(formula)])
    [[cell]] = csv.reader(io.StringIO(file.getvalue(), newline=""))
    assert cell == f"'{formula}"


def test_a_cell_that_is_no_formula_stays_as_it_is():
    assert text.cell_text("a=b") == "a=b"
    assert text.cell_text("") == ""


@pytest.mark.parametrize(
    ("num_bytes", "expected"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (5 * 2**30, "5.0 GiB"),
        (3 * 2**40, "3.0 TiB"),
        (2**52, "4096.0 TiB"),
    ],
)
def test_a_size_is_shown_in_a_unit_that_fits(num_bytes, expected):
    assert text.size_text(num_bytes) == expected
