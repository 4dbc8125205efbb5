"""Figures that need no screen, as PNG images."""

import io
import os
from typing import Any

__all__ = ["drawn_text", "ignore_matplotlibrc", "new_figure", "png_bytes"]


def ignore_matplotlibrc() -> None:
    """Has Matplotlib not read settings that lie among somebody's videos.

    It takes a `matplotlibrc` in the current folder before the user's own. That can have
    it draw by LaTeX, with commands of that file. To be called when a process starts.
    """
    if not os.path.lexists("matplotlibrc"):
        return
    before = os.open(".", os.O_RDONLY)
    os.chdir(os.path.dirname(os.path.abspath(__file__)))
    try:
        import matplotlib  # noqa: F401
    finally:
        os.fchdir(before)
        os.close(before)


def new_figure(width: float, height: float) -> Any:
    """Makes a matplotlib figure, and leaves matplotlib's settings alone.

    Args:
        width: Width in inches of 100 pixels.
        height: Height in the same.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def png_bytes(figure: Any) -> bytes:
    """Returns a figure as a PNG image."""
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=100)
    return image.getvalue()


def drawn_text(text: str, length: int) -> str:
    r"""Returns a text as Matplotlib draws it: cut, on one line, and no formula.

    >>> drawn_text("thank you very much", 10), drawn_text("a$b\n", 10)
    ('thank you…', 'a\\$b?')
    """
    cut = text if len(text) <= length else f"{text[: length - 1]}…"
    # Matplotlib takes a dollar for mathematics.
    return "".join(c if c.isprintable() else "?" for c in cut).replace("$", r"\$")
