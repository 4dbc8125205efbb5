"""The words of a vocabulary, wherever they are read: how many, and what they may be."""

from collections.abc import Sequence

from wlasl_tfrecord.text import is_unicode, shown

__all__ = ["MAX_GLOSSES", "MAX_GLOSS_CHARACTERS", "check_glosses"]

# The largest dictionaries of a sign language have some 9,000 words. What counts pairs
# of glosses takes memory for the square of their number.
MAX_GLOSSES = 20_000
MAX_GLOSS_CHARACTERS = 1000


def check_glosses(glosses: Sequence[object]) -> None:
    """Rejects what is no vocabulary; it may be of a file that anybody can edit.

    Raises:
        ValueError: If there are too many, or one is no line of text, or too long.
    """
    if len(glosses) > MAX_GLOSSES:
        raise ValueError(
            f"at most {MAX_GLOSSES:,} glosses are possible, got {len(glosses):,}"
        )
    for gloss in glosses:
        if not isinstance(gloss, str) or len(gloss.splitlines()) != 1:
            raise ValueError(f"a gloss must be one line of text, got {shown(gloss)}")
        if not is_unicode(gloss):
            raise ValueError(f"a gloss must be valid Unicode, got {shown(gloss)}")
        if len(gloss) > MAX_GLOSS_CHARACTERS:
            raise ValueError(
                f"a gloss must have at most {MAX_GLOSS_CHARACTERS:,} characters, got "
                f"{len(gloss):,}: {shown(gloss)}"
            )
