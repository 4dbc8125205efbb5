"""Text from outside, such as file names and annotations, shown on one line."""

import os
import unicodedata

__all__ = [
    "is_control",
    "is_unicode",
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
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(ascii(c)[1:-1] if is_control(c) else c for c in text)


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
