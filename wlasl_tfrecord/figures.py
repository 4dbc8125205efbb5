"""Figures that need no screen, as PNG images."""

import io
from typing import Any

__all__ = ["drawn_text", "new_figure", "png_bytes"]


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
