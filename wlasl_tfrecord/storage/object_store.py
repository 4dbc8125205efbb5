"""Objects below a URL: read by ranges, listed, written whole, by the package obstore.

The library retries by itself what fails on the way: refused and cut connections,
answers of 5xx and 429, requests that are slow. What it does not notice, a whole answer
of fewer bytes than were asked for, is asked for again here.
"""

import contextlib
import errno
import os
import random
import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from wlasl_tfrecord.errors import StoreError
from wlasl_tfrecord.files import MAX_READ_BYTES, too_large
from wlasl_tfrecord.storage.object_facts import (
    Content,
    ObjectFacts,
    Version,
    facts_of,
    version_of,
)
from wlasl_tfrecord.storage.passwords import leaves_host, password_headers
from wlasl_tfrecord.storage.store_client import import_obstore, make_store, reason_of
from wlasl_tfrecord.storage.urls import check_url, join_path

__all__ = ["ObjectChanged", "ObjectStore", "open_store"]

T = TypeVar("T")

# Tries, in some 40 seconds without a store; and in 2 where somebody waits for a first
# answer.
_PATIENT, _HASTY = 10, 4
_BACKOFF = {
    "init_backoff": timedelta(milliseconds=100),
    "max_backoff": timedelta(seconds=10),
}
# A server may list without an end.
_MOST_OBJECTS = 2_000_000
# Short answers to one request.
_MOST_SHORT = 4
# A clip by `raw` is 4.5 MB; requests of this size hide the time until the first byte.
_PART_BYTES = 16 * 2**20


class ObjectChanged(OSError):  # noqa: N818
    """An object is not the one that was opened."""


class ObjectStore:
    """The objects below one URL. Its calls may come from several threads."""

    def __init__(self, url: str, *, is_patient: bool = False) -> None:
        """Connects to nothing yet.

        Args:
            url: s3://bucket/folder, gs://…, az://container/…, https://host/….
            is_patient: Whether an outage of half a minute is waited for.

        Raises:
            StoreError: If the URL has a secret in it, or obstore is not installed.
        """
        check_url(url)
        self.url = url.rstrip("/")
        retries = _PATIENT if is_patient else _HASTY
        retry = {"max_retries": retries, "backoff": _BACKOFF}
        self._obstore = import_obstore(url)
        self._password: dict[str, str] = {}
        if self.url.startswith("http"):
            self._password = password_headers(urlsplit(self.url).hostname or "")
        # Names for which the server does not send the password elsewhere.
        self._stays: set[str] = set()
        try:
            self._store = make_store(self.url, retry, self._password)
        except (self._obstore.exceptions.BaseError, ValueError) as error:
            raise StoreError(f"cannot open {url} ({reason_of(error)})") from None

    def read(
        self,
        name: str,
        start: int = 0,
        stop: int | None = None,
        *,
        e_tag: str | None = None,
    ) -> Content:
        """Reads a range of an object by one request.

        Args:
            name: Its name below the URL.
            start: The first byte.
            stop: The byte after the last; None for all up to the end.
            e_tag: What the object must still have; None for any.

        Raises:
            ObjectChanged: If it has another one.
            FileNotFoundError: If there is no such object.
            OSError: If it cannot be read, ends before `start`, always comes short, or
                has more than `MAX_READ_BYTES`.
        """
        options: dict[str, Any] = {"if_match": e_tag} if e_tag else {}
        # No suffixes: Azure does not have them.
        if stop is not None:
            options["range"] = (start, stop)
        elif start:
            options["range"] = {"offset": start}

        def read() -> Content:
            result = self._obstore.get(self._store, name, options=options)
            facts = result.meta
            # Not every server of files knows `If-Match`.
            if e_tag and facts["e_tag"] != e_tag:
                raise self._changed(name)
            first, last = result.range
            if last - first > MAX_READ_BYTES:
                raise too_large(join_path(self.url, name), last - first)
            data = _body(result, last - first, self._path(name))
            if len(data) != last - first:
                raise _ShortError(f"{len(data)} bytes in place of {last - first}")
            if stop is not None and len(data) < min(stop, facts["size"]) - start:
                raise _ShortError(f"{len(data)} bytes in place of {stop - start}")
            return Content(data=data, num_bytes=facts["size"], e_tag=facts["e_tag"])

        return self._try(read, name)

    def facts(self, name: str) -> ObjectFacts:
        """Returns what the server says of an object.

        Raises:
            FileNotFoundError: If there is no such object.
            OSError: If the store cannot be asked.
        """
        return facts_of(self._try(lambda: self._obstore.head(self._store, name), name))

    def sizes(self) -> dict[str, int] | None:
        """Lists the objects of this folder by name, with their sizes in bytes.

        Returns:
            None if the server has no lists, as those of plain HTTP.

        Raises:
            OSError: If they cannot be listed.
        """
        found = self.objects()
        if found is None:
            return None
        return {name: facts.num_bytes for name, facts in found.items()}

    def objects(self) -> dict[str, ObjectFacts] | None:
        """Lists the objects of this folder by name.

        Returns:
            None if the server has no lists.

        Raises:
            OSError: If they cannot be listed.
        """
        if self.url.startswith("http"):
            return None

        def read() -> list[Any]:
            return self._obstore.list_with_delimiter(self._store)["objects"]

        return {found["path"]: facts_of(found) for found in self._try(read, "")}

    def walk(self) -> dict[str, ObjectFacts] | None:
        """Lists the objects of this folder and of those in it by name, in order.

        Returns:
            None if the server has no lists.

        Raises:
            OSError: If they cannot be listed, or are more than `_MOST_OBJECTS`.
        """
        if self.url.startswith("http"):
            return None

        def read() -> list[Any]:
            found: list[Any] = []
            for page in self._obstore.list(self._store):
                found += page
                if len(found) > _MOST_OBJECTS:
                    reason = f"there are more than {_MOST_OBJECTS:,} objects"
                    raise OSError(errno.EFBIG, reason, self.url)
            return found

        found = sorted(self._try(read, ""), key=lambda one: one["path"])
        return {one["path"]: facts_of(one) for one in found}

    def fetch(self, name: str, num_bytes: int, path: Path) -> None:
        """Writes an object to a file, which has nothing else then.

        Args:
            name: Its name below the URL.
            num_bytes: Its size.
            path: The file.

        Raises:
            ObjectChanged: If it has another size, or is replaced meanwhile.
            OSError: If it cannot be read, or the file cannot be written.
        """
        e_tag = None
        with open(path, "wb") as file:
            for start in range(0, num_bytes, _PART_BYTES):
                stop = min(start + _PART_BYTES, num_bytes)
                found = self.read(name, start, stop, e_tag=e_tag)
                if found.num_bytes != num_bytes:
                    raise self._changed(name)
                e_tag = found.e_tag
                file.write(found.data)

    def write(self, name: str, content: bytes | Path) -> None:
        """Writes an object: whole, or it stays as it was.

        Args:
            name: Its name below the URL.
            content: What it holds, or the file that does.

        Raises:
            OSError: If it cannot be written.
        """
        self._try(
            lambda: self._obstore.put(
                self._store, name, content, chunk_size=_PART_BYTES, max_concurrency=4
            ),
            name,
        )

    def write_if(
        self, name: str, content: bytes, before: Version | None
    ) -> Version | None:
        """Writes a small object, if nobody has written it since.

        Args:
            name: Its name below the URL.
            content: What it holds; nothing that another process writes.
            before: The version that it must have; None if it must not exist.

        Returns:
            Its version; None if it has another one, or is gone.

        Raises:
            OSError: If it cannot be written.
        """
        known = self._obstore.exceptions
        refusals = (known.AlreadyExistsError, known.PreconditionError)
        mode = "create" if before is None else dict(before)

        def write() -> Version | None:
            try:
                return version_of(
                    self._obstore.put(self._store, name, content, mode=mode)
                )
            except (*refusals, FileNotFoundError):
                return None

        for tried in range(_MOST_SHORT):
            failed = None
            try:
                written = self._once(write, name)
            except OSError as error:
                written, failed = None, error
            if written is None:
                # It may be ours: the answer to a try that succeeded was lost.
                written = self._version_of(name, content)
            if written is not None or failed is None:
                return written
            if tried + 1 == _MOST_SHORT:
                raise failed
        return None

    def _version_of(self, name: str, content: bytes) -> Version | None:
        """Returns the version of an object, if it has a content."""
        try:
            if bytes(self.read(name).data) == content:
                return self.facts(name).version
        except FileNotFoundError:
            pass
        return None

    def delete(self, names: Iterable[str]) -> None:
        """Deletes objects, those of them that there are.

        Raises:
            OSError: If one cannot be deleted.
        """
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                self._try(
                    lambda name=name: self._obstore.delete(self._store, name), name
                )

    def _try(self, action: Callable[[], T], name: str) -> T:
        """Calls again after short answers, a few times."""
        short: _ShortError | None = None
        for tried in range(_MOST_SHORT):
            if tried:
                time.sleep(random.uniform(0.05, 0.1) * 2**tried)
            try:
                return self._once(action, name)
            except _ShortError as error:
                short = error
        reason = f"{_MOST_SHORT} answers were too short: {short}"
        raise OSError(errno.EIO, reason, self._path(name))

    def _once(self, action: Callable[[], T], name: str) -> T:
        """Calls once; raises errors of the library as those of files."""
        known = self._obstore.exceptions
        if self._password and name not in self._stays:
            if leaves_host(self._path(name), self._password):
                reason = "it redirects to another host, which would get the password"
                raise PermissionError(errno.EACCES, reason, self._path(name))
            self._stays.add(name)
        try:
            return action()
        except FileNotFoundError:
            reason = os.strerror(errno.ENOENT)
            raise FileNotFoundError(errno.ENOENT, reason, self._path(name)) from None
        except known.PreconditionError:
            raise self._changed(name) from None
        except (known.PermissionDeniedError, known.UnauthenticatedError) as error:
            reason = reason_of(error)
            raise PermissionError(errno.EACCES, reason, self._path(name)) from None
        except (known.BaseError, RuntimeError) as error:
            raise OSError(errno.EIO, reason_of(error), self._path(name)) from None

    def _path(self, name: str) -> str:
        return join_path(self.url, name) if name else self.url

    def _changed(self, name: str) -> ObjectChanged:
        reason = "it was replaced after it was opened"
        return ObjectChanged(errno.ESTALE, reason, self._path(name))


class _ShortError(Exception):
    """An answer has fewer bytes than were asked for."""


def _body(result: Any, num_bytes: int, path: str) -> memoryview:
    """Returns the bytes of an answer.

    A server may send more than it says that it sends, as much as fills any memory.

    Raises:
        OSError: If it does.
    """
    parts: list[Any] = []
    have = 0
    # Mostly a single one. It is asked for after that whether there is more.
    for part in result.stream(min_chunk_size=max(num_bytes, 1)):
        have += len(part)
        if have > num_bytes:
            raise OSError(errno.EIO, "the server sends more than it says", path)
        parts.append(part)
    return memoryview(parts[0] if len(parts) == 1 else b"".join(parts))


def open_store(url: str, *, is_patient: bool = False) -> ObjectStore:
    """Returns the store of a URL; this process keeps its connections.

    Raises:
        StoreError: If the URL has a secret in it, or obstore is not installed.
    """
    return _opened(url.rstrip("/"), is_patient, os.getpid())


@lru_cache(maxsize=64)
def _opened(url: str, is_patient: bool, _process_id: int) -> ObjectStore:
    return ObjectStore(url, is_patient=is_patient)
