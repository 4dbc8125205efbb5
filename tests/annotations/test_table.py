"""Tables as people's programs write them."""

import pytest

from wlasl_tfrecord.annotations.table import is_table_name, read_header, read_table
from wlasl_tfrecord.errors import ManifestError

ROWS = (("path", "gloss"), ("a.mp4", "größe"), ("b.mp4", "x, y"))


def rows_of(path):
    table = read_table(str(path))
    return (table.header.columns, *(values for _, values in table.lines))


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"]
)
def test_every_separator_and_encoding_reads_alike(
    tmp_path, encoding, separator, line_end
):
    lines = [separator.join(f'"{value}"' for value in row) for row in ROWS]
    path = tmp_path / "t.csv"
    path.write_bytes((line_end.join(lines) + line_end).encode(encoding))
    assert rows_of(path) == ROWS
    assert read_header(str(path)).separator == separator


@pytest.mark.parametrize("first", ["sep=;", '"sep=;"', "SEP=;", "\n\nsep=;", "sep=;;"])
def test_a_first_line_may_name_the_separator(tmp_path, first):
    path = tmp_path / "t.csv"
    path.write_text(f"{first}\npath;gloss\na,b,c,d;hello\n")
    assert rows_of(path) == (("path", "gloss"), ("a,b,c,d", "hello"))
    # Lines count as an editor shows them.
    assert read_table(str(path)).lines[0][0] == 3 + first.count("\n")


def test_blanks_and_empty_lines_and_columns_do_no_harm(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('\n path , "gloss",,\n"a.mp4", "good ""bye""", ,\n,,,\n\n')
    assert rows_of(path) == (
        ("path", "gloss", "", ""),
        ("a.mp4", 'good "bye"', "", ""),
    )


def test_a_value_may_have_several_lines(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b'path,gloss\r\na.mp4,"one\r\ntwo"\r\nb.mp4,x\r\n')
    table = read_table(str(path))
    assert table.lines == ((3, ("a.mp4", "one\r\ntwo")), (4, ("b.mp4", "x")))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "a,b\nx,größe\n".encode("cp1252"),
            r"t\.csv is not text in UTF-8: line 2 has the byte 0xf6; save it as UTF-8",
        ),
        (b'a,b\n"x"y,z\n', r"t\.csv is not a table of values: "),
        (b"a,b\n" + b"x" * 200_000 + b",y\n", "is not a table of values: field larger"),
    ],
)
def test_what_is_no_table_says_so(tmp_path, content, message):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(ManifestError, match=message):
        read_table(str(path))


def test_a_table_that_cannot_be_read_says_so(tmp_path):
    with pytest.raises(ManifestError, match=r"cannot read .*: Is a directory"):
        read_table(str(tmp_path))
    with pytest.raises(ManifestError, match=r"cannot read .*: Is a directory"):
        read_header(str(tmp_path))


def test_a_short_row_is_filled_and_a_long_one_refused(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b,c\n1,2\n1,2,3,,\n")
    rows = list(read_table(str(path)).rows([0, 1]))
    assert [values for _, values in rows] == [("1", "2", ""), ("1", "2", "3")]
    path.write_text("a,b,c\n1,2,3,4\n")
    with pytest.raises(
        ManifestError, match=r"line 2 has 4 values, line 1 names 3; put"
    ):
        list(read_table(str(path)).rows([0]))
    path.write_text("a,b,c\n1\n")
    with pytest.raises(
        ManifestError, match=r"line 2 has 1 values, line 1 names 3; put"
    ):
        list(read_table(str(path)).rows([1]))


def test_an_empty_file_has_an_empty_header(tmp_path):
    (tmp_path / "t.csv").touch()
    assert rows_of(tmp_path / "t.csv") == ((),)


def test_tables_are_told_by_their_names():
    names = ["a.csv", "b.TSV", "c.tab", "d.txt", "csv"]
    assert [name for name in names if is_table_name(name)] == names[:3]
