"""Objects below a URL: read by ranges, listed, written whole, by the package obstore.

The library retries by itself what fails on the way: refused and cut connections,
answers of 5xx and 429, requests that are slow. What it does not notice, a whole answer
of fewer bytes than were asked for, is asked for again here.
"""

import contextlib
import errno
import importlib
import os
import random
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from wlasl_tfrecord.errors import StoreError
from wlasl_tfrecord.files import MAX_READ_BYTES, too_large
from wlasl_tfrecord.storage.passwords import leaves_host, password_headers
from wlasl_tfrecord.storage.urls import check_url, join_path, without_secrets

__all__ = ["Content", "ObjectChanged", "ObjectStore", "open_store"]

T = TypeVar("T")

# A connection that cannot be made, and one on which nothing comes, count as failed
# after these. The whole of a request has time for 16 MiB at 64 kB/s.
_CLIENT = {
    "connect_timeout": timedelta(seconds=10),
    "read_timeout": timedelta(seconds=20),
    "timeout": timedelta(minutes=5),
}
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
        self._obstore = _import_obstore(url)
        self._password: dict[str, str] = {}
        if self.url.startswith("http"):
            self._password = password_headers(urlsplit(self.url).hostname or "")
        # Names for which the server does not send the password elsewhere.
        self._stays: set[str] = set()
        try:
            self._store = _make_store(self.url, retry, self._password)
        except (self._obstore.exceptions.BaseError, ValueError) as error:
            raise StoreError(f"cannot open {url} ({_reason(error)})") from None

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

    def size(self, name: str) -> int:
        """Returns the size of an object in bytes.

        Raises:
            FileNotFoundError: If there is no such object.
            OSError: If the store cannot be asked.
        """
        return self._try(lambda: self._obstore.head(self._store, name), name)["size"]

    def sizes(self) -> dict[str, int] | None:
        """Lists the objects of this folder by name, with their sizes in bytes.

        Returns:
            None if the server has no lists, as those of plain HTTP.

        Raises:
            OSError: If they cannot be listed.
        """
        if self.url.startswith("http"):
            return None

        def read() -> list[Any]:
            return self._obstore.list_with_delimiter(self._store)["objects"]

        return {found["path"]: found["size"] for found in self._try(read, "")}

    def walk(self) -> list[tuple[str, int]] | None:
        """Lists the objects of this folder and of those in it, with their sizes.

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

        return sorted((found["path"], found["size"]) for found in self._try(read, ""))

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
            reason = _reason(error)
            raise PermissionError(errno.EACCES, reason, self._path(name)) from None
        except (known.BaseError, RuntimeError) as error:
            raise OSError(errno.EIO, _reason(error), self._path(name)) from None

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


def _import_obstore(url: str) -> Any:
    """Returns the package obstore; here, because only URLs need it."""
    try:
        for module in ("obstore.exceptions", "obstore.store"):
            importlib.import_module(module)
        return importlib.import_module("obstore")
    except ImportError as error:
        raise StoreError(
            f"{url} is read by the package obstore, which is not installed; "
            "pip install 'wlasl-tfrecord[remote]'"
        ) from error


def _make_store(url: str, retry: Mapping[str, Any], headers: Mapping[str, str]) -> Any:
    """Makes obstore's store of a URL; credentials come from where its makers look."""
    store = importlib.import_module("obstore.store")
    parts = urlsplit(url)
    prefix = parts.path.strip("/") or None
    client: dict[str, Any] = dict(_CLIENT)
    if parts.scheme in ("http", "https"):
        client["allow_http"] = parts.scheme == "http"
        client["default_headers"] = headers
        return store.HTTPStore.from_url(url, client_options=client, retry_config=retry)
    # Who names an endpoint without encryption wants it: a server of one's own.
    endpoints = [
        value
        for name, value in os.environ.items()
        if re.search("ENDPOINT|EMULATOR", name)
    ]
    client["allow_http"] = any(value.startswith("http://") for value in endpoints)
    if os.environ.get("AZURE_STORAGE_USE_EMULATOR", "").lower() == "true":
        client["allow_http"] = True
    options = {"client_options": client, "retry_config": retry}
    if parts.scheme == "gs":
        return store.GCSStore(parts.netloc, prefix=prefix, **options)
    if parts.scheme == "az":
        return store.AzureStore(parts.netloc, prefix=prefix, **options)
    return store.S3Store(parts.netloc, prefix=prefix, **options, **_aws_profile())


def _aws_profile() -> dict[str, Any]:
    """Returns what a profile of AWS's own files adds to the environment."""
    environment = os.environ
    files = (
        environment.get("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"),
        environment.get("AWS_CONFIG_FILE", "~/.aws/config"),
    )
    has_keys = "AWS_ACCESS_KEY_ID" in environment
    if has_keys or not any(os.path.exists(os.path.expanduser(one)) for one in files):
        return {}
    try:
        session = importlib.import_module("boto3.session").Session()
        if session.get_credentials() is None:
            return {}
        auth = importlib.import_module("obstore.auth.boto3")
        return {"credential_provider": auth.Boto3CredentialProvider(session)}
    except Exception as error:
        # Botocore has some dozen kinds; none of their messages has a key.
        raise StoreError(
            f"cannot take credentials from AWS's files ({_reason(error)}); check the "
            "profile, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        ) from None


def _reason(error: BaseException) -> str:
    """Returns the first line of what a library says, without what may be secret."""
    if "Forked process detected" in str(error):
        return (
            "this process was forked from one that has read from a URL; start it by "
            "spawn or forkserver"
        )
    line = without_secrets(str(error).strip().partition("\n")[0])
    found = re.search(r"status code: (\d+ [\w ]+).*?(?:<Code>(\w+)</Code>|$)", line)
    if found:
        return ": ".join(part for part in found.groups() if part)
    return re.sub(r"Error performing \w+ \S+ in ", "", line)[:300]
