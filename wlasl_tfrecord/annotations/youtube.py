"""YouTube's ids of videos: downloads are named by them."""

import re

__all__ = ["youtube_id"]

# youtube.com/watch?v=ID, /embed/ID, /v/ID, /shorts/ID and youtu.be/ID.
_URL = re.compile(
    r"(?:https?://)?(?:[\w-]+\.)*(?:youtube(?:-nocookie)?\.com/"
    r"(?:watch\?(?:[^#]*&)?v=|embed/|v/|shorts/|live/)|youtu\.be/)([\w-]{11})(?![\w-])",
    re.IGNORECASE | re.ASCII,
)


def youtube_id(url: str | None) -> str | None:
    """Returns the id of a video on YouTube; None for any other address.

    >>> youtube_id("https://www.youtube.com/watch?v=0UsjUE-TXns&t=3s")
    '0UsjUE-TXns'
    >>> youtube_id("http://aslbricks.org/New/ASL-Videos/book.mp4")
    """
    match = _URL.match(url.strip()) if url else None
    return match[1] if match else None
