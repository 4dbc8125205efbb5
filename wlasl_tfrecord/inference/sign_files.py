"""The signs of a long video as files: a table, JSON lines, subtitles, a picture."""

import json
from collections.abc import Sequence
from pathlib import Path

from wlasl_tfrecord.files import write_whole
from wlasl_tfrecord.inference.ranking import (
    csv_line,
    ranked_cells,
    ranked_columns,
    ranked_json,
)
from wlasl_tfrecord.inference.signs import Sign
from wlasl_tfrecord.inference.timeline import Timeline, timeline_png

__all__ = [
    "clock_text",
    "sign_cells",
    "sign_columns",
    "sign_json",
    "subtitles",
    "write_sign_files",
]


def clock_text(seconds: float) -> str:
    """Returns a time as WebVTT writes it.

    >>> clock_text(3725.25)
    '01:02:05.250'
    """
    milliseconds = round(1000 * seconds)
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}.{rest % 1000:03}"


def sign_json(sign: Sign) -> dict[str, object]:
    """Returns a sign as JSON values; times are seconds."""
    return {
        "start": round(sign.start_seconds, 3),
        "stop": round(sign.stop_seconds, 3),
        "predictions": ranked_json(sign.glosses, sign.probabilities),
        "num_windows": sign.num_windows,
    }


def sign_columns(top: int) -> list[str]:
    """Returns the names of the columns of a table of signs."""
    return ["start", "stop", *ranked_columns(top), "num_windows"]


def sign_cells(sign: Sign, top: int) -> list[str]:
    """Returns the cells of a sign in such a table; times are seconds."""
    return [
        f"{sign.start_seconds:.3f}",
        f"{sign.stop_seconds:.3f}",
        *ranked_cells(sign.glosses, sign.probabilities, top),
        str(sign.num_windows),
    ]


def subtitles(signs: Sequence[Sign]) -> str:
    """Returns signs as WebVTT, which video players and browsers show.

    Reference:
        W3C, "WebVTT: The Web Video Text Tracks Format".
    """
    cues = ["WEBVTT\n"]
    for sign in signs:
        times = f"{clock_text(sign.start_seconds)} --> {clock_text(sign.stop_seconds)}"
        # A blank line would end the cue, and what is in angles would be markup.
        gloss = " ".join(sign.glosses[0].split())
        for character, escaped in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
            gloss = gloss.replace(character, escaped)
        cues.append(f"{times}\n{gloss} ({sign.probabilities[0]:.0%})\n")
    return "\n".join(cues)


def write_sign_files(
    out_dir: Path, name: str, signs: Sequence[Sign], timeline: Timeline, top: int
) -> list[Path]:
    """Writes NAME.csv, NAME.jsonl, NAME.vtt and NAME.png.

    Args:
        out_dir: The folder; it is made if there is none.
        name: What the files are called, without a suffix.
        signs: The signs, by time.
        timeline: What the windows showed.
        top: How many glosses the table has columns for.

    Returns:
        The files.

    Raises:
        OutputError: If they cannot be written.
    """
    rows = [sign_columns(top), *(sign_cells(sign, top) for sign in signs)]
    lines = [json.dumps(sign_json(sign), ensure_ascii=False) for sign in signs]
    contents = {
        "csv": "".join(f"{csv_line(row)}\n" for row in rows).encode(),
        "jsonl": "".join(f"{line}\n" for line in lines).encode(),
        "vtt": subtitles(signs).encode(),
        "png": timeline_png(timeline, signs),
    }
    paths = []
    for suffix, content in contents.items():
        path = out_dir / f"{name}.{suffix}"
        write_whole(path, content)
        paths.append(path)
    return paths
