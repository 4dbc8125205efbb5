"""Videos at a URL: each comes to this machine while it is read, and goes again.

A folder here stands for the one at the URL. It has the label files, and for each video
a file of the same name and size without content. By these the manifest is made. A video
has its content while it is hashed or decoded.
"""

import contextlib
import errno
import os
import tempfile
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import TypeVar

from wlasl_tfrecord.decoder_pool.jobs import Task
from wlasl_tfrecord.errors import ManifestError, StoreError, VideoError, WlaslError
from wlasl_tfrecord.files import MAX_READ_BYTES, free_bytes, temporary_folder
from wlasl_tfrecord.storage.object_store import ObjectChanged, ObjectStore
from wlasl_tfrecord.text import shown, size_text
from wlasl_tfrecord.video.content_hash import sha256_of
from wlasl_tfrecord.video.files import UNREAD_SUFFIXES, VIDEO_SUFFIXES

__all__ = ["RemoteVideos", "remote_videos"]

# Videos that come at once, and that have come and wait for a decoder.
_NUM_AHEAD = 8
# What is left free on the disk, for others.
_FREE_BYTES = 2**30

# What a store says of a video alone: the run goes on without it.
_OF_ONE_VIDEO = (FileNotFoundError, PermissionError, ObjectChanged)

T = TypeVar("T")


class RemoteVideos:
    """The videos at a URL, and the folder that stands for them."""

    def __init__(self, url: str, folder: str) -> None:
        """Lists nothing yet.

        Args:
            url: The folder of videos.
            folder: An empty folder of this machine.

        Raises:
            StoreError: If the store cannot be used.
        """
        self.folder = folder
        self._store = ObjectStore(url, is_patient=True)
        self.url = self._store.url
        self._lock = threading.Lock()
        # By path: what it is called, and its size; and while it is here or comes,
        # whether it has come, and for how many.
        self._videos: dict[str, tuple[str, int]] = {}
        # By path: name, size and time of change, the same on all machines.
        self._facts: dict[str, list[object]] = {}
        self._here: dict[str, tuple[threading.Event, int]] = {}

    def list_all(self) -> None:
        """Lists what is there, and fetches the label files.

        Raises:
            StoreError: If the store cannot be used.
            ManifestError: If it cannot be listed, or has no videos.
        """
        try:
            self._list()
        except OSError as error:
            # Of an object, or of its file here, whose name may be impossible.
            where = self.shown(str(error.filename or self.url))
            raise ManifestError(
                f"cannot read {where} ({error.strerror}); check the URL, the names, "
                "the network and the credentials"
            ) from error

    def _list(self) -> None:
        found = self._store.walk()
        if found is None:
            raise StoreError(
                f"{self.url} has no lists; read videos from s3://, gs:// or az://"
            )
        others: list[tuple[str, int, Path]] = []
        folders = {str(one) for name in found for one in PurePosixPath(name).parents}
        for name, facts in found.items():
            num_bytes = facts.num_bytes
            if num_bytes == 0 and name.rstrip("/") in folders:
                continue  # what a store's web page makes for a folder
            parts = PurePosixPath(name).parts
            if not parts or ".." in parts or "\0" in name or name.startswith("/"):
                raise ManifestError(f"{self.url} has an object named {shown(name)}")
            path = os.path.join(self.folder, *parts)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            suffix = os.path.splitext(name)[1].lower()
            is_video = suffix in (*VIDEO_SUFFIXES, *UNREAD_SUFFIXES)
            if is_video or num_bytes > MAX_READ_BYTES:
                self._videos[path] = name, num_bytes
                self._facts[path] = [name, num_bytes, facts.written_seconds]
                _without_content(path, num_bytes)
            elif num_bytes == 0:
                Path(path).touch()
            else:
                others.append((name, num_bytes, Path(path)))
        num_bytes = sum(size for _, size, _ in others)
        if num_bytes > self._room():
            raise ManifestError(
                f"{self.url} has {size_text(num_bytes)} of files that are no videos, "
                f"for which {tempfile.gettempdir()} has no room; "
                "name a smaller folder with --src, or another disk with TMPDIR"
            )
        with ThreadPoolExecutor(_NUM_AHEAD) as pool:
            for _ in pool.map(lambda other: self._store.fetch(*other), others):
                pass
        if not self._videos and not others:
            raise ManifestError(
                f"no videos at {self.url}; name their folder with --src"
            )

    def _room(self) -> int:
        """Returns how many bytes may come, so that the disk does not fill up."""
        return free_bytes(self.folder) - _FREE_BYTES

    def shown(self, text: str) -> str:
        """Returns a text with the URL in place of the folder here."""
        return text.replace(self.folder, self.url)

    def hash_videos(
        self,
        paths: Sequence[str],
        timeout_seconds: float,  # noqa: ARG002 - the store's own limits hold
    ) -> Iterator[tuple[str, str | VideoError]]:
        """Reads every video once, as `video_hashes.hash_videos` does."""

        def hash_one(path: str) -> str | VideoError:
            try:
                self._fetch(path)
                return sha256_of(path)
            except VideoError as error:
                return error
            except OSError as error:
                return VideoError("unreadable", error.strerror or str(error))
            finally:
                self._release(path)

        pool = ThreadPoolExecutor(_NUM_AHEAD)
        try:
            yield from zip(paths, pool.map(hash_one, paths))
        finally:
            pool.shutdown(cancel_futures=True)

    def expect(self, names: Mapping[str, int]) -> None:
        """Notes videos that another process has listed: their names and sizes."""
        for name, num_bytes in names.items():
            path = self.path_of(name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            self._videos[path] = name, num_bytes
            _without_content(path, num_bytes)

    def path_of(self, name: str) -> str:
        """Returns the path here of a video that was listed."""
        return os.path.join(self.folder, name)

    def name_of(self, path: str) -> tuple[str, int] | None:
        """Returns the name and the size of a video; None for what is no video."""
        return self._videos.get(path)

    def facts_of(self, path: str) -> Sequence[object] | None:
        """Returns what of a video changes with its content; None for other files."""
        return self._facts.get(path)

    def fetched(self, tasks: Iterable[Task]) -> Iterator[Task]:
        """Yields tasks whose videos are here; the next ones come meanwhile."""
        coming: deque[tuple[Task, Future[None]]] = deque()
        pool = ThreadPoolExecutor(_NUM_AHEAD)
        try:
            for task in tasks:
                coming.append((task, pool.submit(self._fetch_for, task)))
                if len(coming) == _NUM_AHEAD:
                    yield _come(coming.popleft())
            while coming:
                yield _come(coming.popleft())
        finally:
            pool.shutdown(cancel_futures=True)

    def released(self, results: Iterable[tuple[Task, T]]) -> Iterator[tuple[Task, T]]:
        """Yields results; the video of each goes after it."""
        for task, result in results:
            yield task, result
            self._release(_path_of(task))

    def _fetch_for(self, task: Task) -> None:
        # What does not come is not what was planned; the next run tries again.
        with contextlib.suppress(OSError):
            self._fetch(_path_of(task))

    def _fetch(self, path: str) -> None:
        """Gives a video its content; several tasks may be of one.

        Raises:
            OSError: If this video cannot be had.
            StoreError: If the store fails.
        """
        with self._lock:
            is_first = path not in self._here
            has_come, num_needed = self._here.get(path, (threading.Event(), 0))
            self._here[path] = has_come, num_needed + 1
        try:
            if is_first and path in self._videos:
                name, num_bytes = self._videos[path]
                if num_bytes > self._room():
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
                self._store.fetch(name, num_bytes, Path(path))
        except OSError as error:
            if error.errno == errno.ENOSPC or isinstance(error, _OF_ONE_VIDEO):
                raise
            # Of the store: without the clips that it holds the folder would be wrong.
            raise StoreError(
                f"cannot read {error.filename} ({error.strerror}); check the network, "
                "the endpoint and the credentials; the same command resumes"
            ) from error
        finally:
            if is_first:
                has_come.set()
        has_come.wait()

    def _release(self, path: str) -> None:
        """Takes the content of a video that no other task needs."""
        with self._lock:
            has_come, num_needed = self._here.pop(path)
            if num_needed > 1:
                self._here[path] = has_come, num_needed - 1
            elif path in self._videos:
                _without_content(path, self._videos[path][1])


def _path_of(task: Task) -> str:
    assert task.instance.path is not None  # one without a video is in no plan
    return task.instance.path


def _come(waiting: tuple[Task, Future[None]]) -> Task:
    task, future = waiting
    future.result()
    return task


def _without_content(path: str, num_bytes: int) -> None:
    with open(path, "wb") as file:
        file.truncate(num_bytes)


@contextlib.contextmanager
def remote_videos(url: str) -> Iterator[RemoteVideos]:
    """Yields the videos at a URL; what stands for them here is gone afterwards.

    Raises:
        StoreError: If the store cannot be used.
        ManifestError: If it has no videos.
    """
    with temporary_folder("wlasl-videos-") as folder:
        videos = RemoteVideos(url, folder)
        try:
            videos.list_all()
            yield videos
        except VideoError:
            raise
        except WlaslError as error:
            if folder not in str(error):
                raise
            raise type(error)(videos.shown(str(error))) from error
