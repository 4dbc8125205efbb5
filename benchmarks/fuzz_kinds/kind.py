"""A kind of file: one that is right, how it is changed, and how it is read."""

import random
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Change", "Kind"]

Change = Callable[[bytes, random.Random], bytes]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of file.

    Attributes:
        content: A file that is right.
        change: Makes another content of it.
        read: Does with a content all that the library does with it.
    """

    content: bytes
    change: Change
    read: Callable[[bytes], object]
