"""What a store says of an object, and what it holds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Content", "ObjectFacts", "Version", "facts_of", "version_of"]

# What names the content of an object to its server: an ETag, a generation, or both.
Version = Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Content:
    """Bytes of an object, and which object they are of.

    Attributes:
        data: The bytes.
        num_bytes: The size of the whole object.
        e_tag: What names its content to the server; None if the server has no such.
    """

    data: memoryview
    num_bytes: int
    e_tag: str | None


@dataclass(frozen=True, kw_only=True)
class ObjectFacts:
    """What a list says of an object.

    Attributes:
        num_bytes: Its size.
        written_seconds: When it was written, by the clock of the server.
        version: What names its content to the server; Google's lists do not have it.
    """

    num_bytes: int
    written_seconds: float
    version: Version


def facts_of(found: Mapping[str, Any]) -> ObjectFacts:
    """Takes them from obstore's `ObjectMeta`."""
    return ObjectFacts(
        num_bytes=found["size"],
        written_seconds=found["last_modified"].timestamp(),
        version=version_of(found),
    )


def version_of(found: Mapping[str, Any]) -> Version:
    """Takes it from obstore's `ObjectMeta` or `PutResult`."""
    return {key: found[key] for key in ("e_tag", "version") if found[key]}
