"""Text from outside, such as file names and annotations, made safe to show."""

import os
import re
import unicodedata

__all__ = [
    "cell_text",
    "is_control",
    "is_unicode",
    "printable",
    "reason_of",
    "shown",
    "size_text",
    "text_of",
]


def is_control(character: str) -> bool:
    """Returns whether a character would break a line or control a terminal."""
    return unicodedata.category(character) in ("Cc", "Zl", "Zp")


def is_unicode(text: str) -> bool:
    """Returns whether a text can be stored in UTF-8: half a surrogate pair cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def shown(value: object) -> str:
    """Returns a value of untrusted annotations as one line of bounded length."""
    # Slicing first: the repr of a number of a million digits is an error.
    try:
        text = ascii(value[:80] if isinstance(value, str) else value)
    except (ValueError, RecursionError):
        text = f"<{type(value).__name__}>"
    return text if len(text) <= 80 else f"{text[:77]}..."


def text_of(name: str) -> str:
    r"""Returns any file name as one line of valid Unicode; most are unchanged.

    >>> text_of("caf\udce9 \n.mp4")
    'caf\\xe9 \\n.mp4'
    """
    try:
        encoded = os.fsencode(name)
    except UnicodeEncodeError:  # no name of a file, but one that JSON can hold
        encoded = name.encode("utf-8", "backslashreplace")
    text = encoded.decode("utf-8", "backslashreplace")
    return "".join(ascii(c)[1:-1] if is_control(c) else c for c in text)


# Characters that control a terminal or break its lines (all of category Cc but tab and
# line feed, Zl and Zp), and those that reorder what is shown (Unicode's Bidi_Control).
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029"
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)


def printable(text: str) -> str:
    r"""Returns a text of several lines as a terminal may show it.

    A character that could control the terminal or reorder its line is replaced by its
    escape in JSON, so that JSON stays the same JSON.

    >>> printable("a\x1b[31m b\u202e\n")
    'a\\u001b[31m b\\u202e\n'
    """
    return _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


_FORMULA_STARTS = (*"=+-@\t\r", *"\uff1d\uff0b\uff0d\uff20")


def cell_text(text: str) -> str:
    """Returns a text as a cell of a CSV file that no spreadsheet takes for a formula.

    The last four are wide forms of the first, for which some take them.

    Reference:
        OWASP, "CSV Injection".

    >>> cell_text("=1+1"), cell_text("book")
    ("'=1+1", 'book')
    """
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def reason_of(error: BaseException) -> str:
    """Returns what an error says as one line of bounded length.

    Errors of other libraries have several lines, or hold what a file said.

    >>> reason_of(ValueError("no number: 'x'"))
    "no number: 'x'"
    """
    # Slicing first: a value in it may have megabytes.
    lines = str(error)[:2000].strip().splitlines()
    text = lines[0] if lines else type(error).__name__
    return text if len(text) <= 300 else f"{text[:297]}..."


def size_text(num_bytes: int) -> str:
    """Returns a number of bytes in the unit that leaves one to four digits.

    >>> size_text(900), size_text(3 * 2**20), size_text(5_000_000_000)
    ('900 B', '3.0 MiB', '4.7 GiB')
    """
    size = float(num_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
