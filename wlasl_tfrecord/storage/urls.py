"""URLs: which there are, how names are added, and what is never shown of one."""

import os
import re
from urllib.parse import urlsplit

from wlasl_tfrecord.errors import StoreError

__all__ = [
    "OBJECT_SCHEMES",
    "check_url",
    "is_object_url",
    "is_url",
    "join_path",
    "without_secrets",
]

# Those that `object_store` reads and writes; TensorFlow opens the others. HTTP without
# encryption is for servers of one's own.
OBJECT_SCHEMES = ("s3", "gs", "az", "https", "http")
_URL = re.compile(
    r"([a-zA-Z][a-zA-Z0-9+.-]*://)([^\s/?#@'\"]*@)?([^\s?#'\"]*)([^\s'\"]*)"
)
# Of all servers and stores: names, numbers, ports. Obstore panics at others.
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._$-]+)(:[0-9]+)?")


def is_url(path: str) -> bool:
    """Returns whether this is no path of this machine."""
    return "://" in path


def is_object_url(path: str) -> bool:
    """Returns whether this is the URL of an object, or of a folder of objects."""
    return path.partition("://")[0].lower() in OBJECT_SCHEMES and is_url(path)


def join_path(directory: str, name: str) -> str:
    """Joins a folder, on this machine or not, and a name."""
    if is_url(directory):
        return f"{directory.rstrip('/')}/{name}"
    return os.path.join(directory, name)


def check_url(url: str) -> None:
    """Refuses a URL that has a secret in it, or names no bucket that there can be.

    URLs stand in logs, errors and the files of a run. So none may have a password, and
    none a query, where signatures are.

    Raises:
        StoreError: If it does; the message has nothing of it.
    """
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise StoreError(
            f"a URL of {url.partition('://')[0]}:// cannot be understood ({error})"
        ) from None
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise StoreError(
            f"{without_secrets(url)} was given with a password, a query or a fragment, "
            "which would stand in logs; give credentials by the environment or a file, "
            "see docs/object-stores.md"
        )
    if not parts.netloc and is_object_url(url):
        raise StoreError(
            f"{url} names no bucket or host; a URL is {parts.scheme}://bucket/folder"
        )
    if is_object_url(url) and not _HOST.fullmatch(parts.netloc):
        # Not shown: a password with a slash in it ends the name too soon.
        raise StoreError(
            f"a URL of {parts.scheme}:// has a name that no bucket or host can have; "
            f"write {parts.scheme}://bucket/folder, without a password"
        )


def without_secrets(text: str) -> str:
    """Returns a text whose URLs have no password, query or fragment.

    >>> without_secrets("no https://me:secret@host/a?X-Amz-Signature=1f2e: 404")
    'no https://host/a 404'
    """
    return _URL.sub(r"\1\3", text)
