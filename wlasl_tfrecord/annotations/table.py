"""Tables of values, as people's programs write them: CSV in its many forms.

Read by the standard library's `csv` and not by pandas: pandas would turn a gloss "null"
or "NA" into no value, "007" into 7 and a column with a gap into decimals, and takes a
second to import. What differs between programs is found here: the encoding (UTF-8 with
or without its mark, UTF-16), the separator (comma, semicolon, tab, or what a first line
`sep=;` names), empty columns at the end, blanks before quotes.

A file in another encoding is refused, not guessed: in Windows-1252 and in Windows-1250
the same bytes are other letters, and so other glosses.
"""

import codecs
import csv
import io
import os
import re
import unicodedata
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from wlasl_tfrecord.errors import ManifestError
from wlasl_tfrecord.files import open_regular, open_small
from wlasl_tfrecord.text import shown, text_of

__all__ = ["Header", "Table", "is_table_name", "read_header", "read_table"]

_TABLE_SUFFIXES = (".csv", ".tsv", ".tab")

_SEPARATORS = (",", ";", "\t", "|")
# Enough for the first line of any table; a file of another kind may have no second one.
_HEAD_BYTES = 20_000
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True, kw_only=True)
class Header:
    """The first line of a table, and how its lines are written.

    Attributes:
        columns: The names of the columns as written, without surrounding blanks.
        separator: The character between two values.
        encoding: The encoding of the file.
        first_line: The line itself, for messages.
        line: Its number, from 1.
    """

    columns: tuple[str, ...]
    separator: str
    encoding: str
    first_line: str
    line: int


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of values.

    Attributes:
        path: The file.
        header: Its first line.
        lines: The number of the line and the values of every row that has some, and
            does not repeat the header.
    """

    path: str
    header: Header
    lines: tuple[tuple[int, tuple[str, ...]], ...]

    def rows(self, required: Collection[int]) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Yields the place of each row, for errors, and a value for every column.

        Args:
            required: The columns, from 0, that no row may lack.

        Raises:
            ManifestError: If a row has more values than there are columns, or lacks a
                required one.
        """
        num_columns = len(self.header.columns)
        for line, values in self.lines:
            place = f"{text_of(self.path)}: line {line}"
            extra = any(values[num_columns:])
            if extra or len(values) <= max(required, default=-1):
                raise ManifestError(
                    f"{place} has {len(values)} values, line {self.header.line} names "
                    f"{num_columns}; put a value that holds a "
                    f"{shown(self.header.separator)} in double quotes"
                )
            padding = ("",) * (num_columns - len(values))
            yield place, (*values[:num_columns], *padding)


def read_header(path: str) -> Header:
    """Reads the first line of a table that is not empty.

    Raises:
        ManifestError: If the file cannot be read.
    """
    try:
        with open(path, "rb", opener=open_regular) as file:
            head = file.read(_HEAD_BYTES)
    except OSError as error:
        raise ManifestError(f"cannot read {text_of(path)}: {error.strerror}") from error
    encoding = _encoding(head)
    return _header(head.decode(encoding, "replace"), encoding)


def read_table(path: str) -> Table:
    """Reads a whole table.

    Raises:
        ManifestError: If the file cannot be read, is in an unknown encoding, or is no
            table.
    """
    name = text_of(path)
    try:
        with open(path, "rb", opener=open_small) as file:
            content = file.read()
    except OSError as error:
        raise ManifestError(f"cannot read {name}: {error.strerror}") from error
    encoding = _encoding(content[:_HEAD_BYTES])
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ManifestError(
            f"{name} is not text in UTF-8: line {line} has the byte "
            f"0x{content[error.start]:02x}; save it as UTF-8 (Excel: 'CSV UTF-8')"
        ) from error
    header = _header(text, encoding)
    try:
        lines = _lines(text, header)
    except csv.Error as error:
        try:
            # Only then: within a value in quotes this would be a change.
            lines = _lines(re.sub(r'" +(?=[,;\t|\r\n]|$)', '"', text), header)
        except csv.Error:
            raise ManifestError(f"{name} is not a table of values: {error}") from error
    return Table(path=path, header=header, lines=lines)


def is_table_name(name: str) -> bool:
    """Returns whether a file is named like a table."""
    return os.path.splitext(name)[1].lower() in _TABLE_SUFFIXES


def _lines(text: str, header: Header) -> tuple[tuple[int, tuple[str, ...]], ...]:
    """Returns the number and the values of each line below the header that has some."""
    # Line ends as they are: a value in quotes may hold one.
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=header.separator,
        skipinitialspace=True,
        strict=True,
    )
    rows = ((reader.line_num, tuple(map(_plain_value, values))) for values in reader)
    # Tables that were put together have the line that names the columns once for each.
    names = tuple(map(_plain_value, header.columns))
    return tuple(
        row for row in rows if row[0] > header.line and any(row[1]) and row[1] != names
    )


def _plain_value(value: str) -> str:
    value = unicodedata.normalize("NFC", value.strip().removeprefix("\ufeff"))
    # How people keep Excel from taking 00335 for a number.
    formula = re.fullmatch(r'="(.*)"', value)
    return formula[1].strip() if formula else value


def _encoding(head: bytes) -> str:
    for mark, encoding in _BYTE_ORDER_MARKS:
        if head.startswith(mark):
            return encoding
    # UTF-16 without a mark: in a table most characters are ASCII.
    if head[1:200:2].count(0) > len(head[1:200:2]) // 2:
        return "utf-16-le"
    if head[0:200:2].count(0) > len(head[0:200:2]) // 2:
        return "utf-16-be"
    return "utf-8"


def _header(text: str, encoding: str) -> Header:
    lines = re.split(r"\r\n|\r|\n", text[:_HEAD_BYTES])
    line = next((k for k, words in enumerate(lines) if words.strip()), 0)
    # Excel's own way of naming the separator.
    named = re.fullmatch(r'\s*"?sep=(.)"?[;,\s]*', lines[line], re.IGNORECASE)
    if named:
        rest = lines[line + 1 :]
        line += 1 + next((k for k, words in enumerate(rest) if words.strip()), 0)
    first_line = lines[line] if line < len(lines) else ""
    separators = (named[1],) if named else _SEPARATORS
    columns, separator = max(
        ((_split(first_line, separator), separator) for separator in separators),
        key=lambda found: len(found[0]),
    )
    return Header(
        columns=columns,
        separator=separator,
        encoding=encoding,
        first_line=first_line,
        line=line + 1,
    )


def _split(line: str, separator: str) -> tuple[str, ...]:
    try:
        reader = csv.reader([line], delimiter=separator, skipinitialspace=True)
        return tuple(name.strip() for name in next(reader, []))
    except (csv.Error, ValueError):
        return ()
