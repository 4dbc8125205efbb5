"""A shard folder at a URL: a folder of this machine stands for it while it is written.

The folder here has the files about the shards, and for each shard that is there a file
without content: of the same size, with nothing but the checksums behind its records. By
these a run decides what is finished (`written_shard.is_intact`), so that planning,
resuming and finishing are those of a disk. A shard that was written is sent, and loses
its content here.
"""

import contextlib
import os
import re
import shutil
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from wlasl_tfrecord.errors import OutputError, ShardFolderError, StoreError, WlaslError
from wlasl_tfrecord.files import temporary_folder
from wlasl_tfrecord.shard_format.layout import (
    DATASET_NAME,
    INDEX_FILE,
    REPORT_FILE,
    SPLITS,
)
from wlasl_tfrecord.shard_format.shard_folder import load_folder, load_records
from wlasl_tfrecord.shard_format.tfrecord import (
    CRC_BYTES,
    FRAME_BYTES,
    HEADER_BYTES,
    footer,
)
from wlasl_tfrecord.sharding.claims import ALONE
from wlasl_tfrecord.sharding.output_folder import (
    OPTIONS_FILE,
    OUR_FILE,
    PLAN_FILE,
    WORK_DIR,
)
from wlasl_tfrecord.sharding.written_shard import WrittenShard, load_state, state_name
from wlasl_tfrecord.storage.object_store import ObjectStore
from wlasl_tfrecord.storage.urls import join_path

__all__ = ["RemoteFolder", "remote_folder"]

_SHARD = re.compile(rf"{DATASET_NAME}-({'|'.join(SPLITS)})\.tfrecord-\d+-of-\d+")
# Reads of small objects at once.
_MAX_REQUESTS = 16

# Offset, length of the proto and its checksum, of each record of a shard.
_Records = list[tuple[int, int, int]]


class RemoteFolder:
    """A shard folder at a URL, and the folder that stands for it."""

    def __init__(self, url: str, stage: str) -> None:
        """Fetches nothing yet.

        Args:
            url: The folder of shards.
            stage: An empty folder of this machine.

        Raises:
            StoreError: If the store cannot be used.
        """
        self.stage = stage
        self.work_url = join_path(url, WORK_DIR)
        self._store = ObjectStore(url, is_patient=True)
        self._work = ObjectStore(self.work_url, is_patient=True)
        self.url = self._store.url
        # Whether a reader may find the folder finished.
        self._has_index = False
        self._has_options = False
        self._files: dict[str, bytes] = {}
        self._sizes: dict[str, int] = {}
        self._is_over: Callable[[], bool] = lambda: False

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Raises errors of the store and the stage as lines about the URL."""
        try:
            yield
        except OSError as error:
            where = str(error.filename or self.url).replace(self.stage, self.url)
            raise OutputError(
                f"cannot write {where} ({error.strerror or error}); the same command "
                "resumes"
            ) from error
        except WlaslError as error:
            text = str(error)
            if self.stage in text:
                raise type(error)(text.replace(self.stage, self.url)) from error
            raise

    def fetch(self) -> None:
        """Fetches the small files, and makes files that stand for the shards.

        What was here before goes.

        Raises:
            StoreError: If the store cannot be used.
            OutputError: If it cannot be read.
        """
        with self._errors():
            for path in Path(self.stage).iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            self._fetch()

    def _fetch(self) -> None:
        found, notes = self._store.sizes(), self._work.sizes()
        if found is None or notes is None:
            raise StoreError(
                f"shards cannot be written to {self.url}; write to s3://, gs:// or "
                "az://, or to a local folder"
            )
        self._has_index = INDEX_FILE in found
        self._has_options = OPTIONS_FILE in notes
        self._sizes = {name: n for name, n in found.items() if _SHARD.fullmatch(name)}
        if self._sizes and not notes and not {INDEX_FILE, REPORT_FILE} & found.keys():
            raise OutputError(
                f"{self.url} holds {min(self._sizes)}, but no index.json or "
                "report.json of bin/shard: it may be somebody else's; choose another "
                "--out, or move it away"
            )
        small = [name for name in found if OUR_FILE.fullmatch(name)]
        self._fetch_files(
            self._store, (n for n in small if n not in self._sizes), self.stage
        )
        self._files = {
            path.name: path.read_bytes()
            for path in Path(self.stage).iterdir()
            if path.is_file()
        }
        if notes:
            work_dir = os.path.join(self.stage, WORK_DIR)
            os.mkdir(work_dir)
            # Others may have put there what is no note, or has no name of a file.
            wanted = {OPTIONS_FILE, *map(state_name, self._sizes)}
            self._fetch_files(self._work, wanted & notes.keys(), work_dir)
        with ThreadPoolExecutor(_MAX_REQUESTS) as pool:
            known = self._known_records()
            list(pool.map(self._stand_in, known.keys(), known.values()))

    @staticmethod
    def _fetch_files(store: ObjectStore, names: Iterable[str], folder: str) -> None:
        def fetch(name: str) -> None:
            # Others that write here may have removed it since it was listed.
            with contextlib.suppress(FileNotFoundError):
                content = bytes(store.read(name).data)
                Path(folder, os.path.basename(name)).write_bytes(content)

        with ThreadPoolExecutor(_MAX_REQUESTS) as pool:
            list(pool.map(fetch, names))

    def _known_records(self) -> dict[str, list[_Records]]:
        """Returns what notes and index say of shards, by name."""
        known: dict[str, list[_Records]] = defaultdict(list)
        for name in self._sizes:
            noted = _load_note(os.path.join(self.stage, WORK_DIR), name)
            if noted is not None:
                known[name].append(_places(noted))
        # A damaged folder is an error of the run, which reads it too.
        with contextlib.suppress(ShardFolderError):
            folder = load_folder(self.stage, check_shards=False)
            for split in folder.splits:
                records = load_records(folder, split)
                places = np.stack([records.offsets, records.num_bytes, records.crcs], 1)
                for index, shard in enumerate(folder.shards[split]):
                    rows = places[records.shard_indices == index].astype(int).tolist()
                    known[shard.name].append([(a, b, crc) for a, b, crc in rows])
        return known

    def _stand_in(
        self, name: str, known: list[_Records], folder: str | None = None
    ) -> None:
        """Makes the file that stands for a shard, if it has one of these contents."""
        for records in known:
            offset, num_bytes, crc = records[-1] if records else (0, -FRAME_BYTES, 0)
            end = offset + num_bytes + FRAME_BYTES
            if self._sizes.get(name) != end:
                continue
            last = (end - CRC_BYTES, end)
            if not records or self._store.read(name, *last).data == footer(crc):
                path = os.path.join(folder or self.stage, name)
                _write_stand_in(path, end, records)
                return

    def fetch_notes(self, shard_names: Collection[str]) -> None:
        """Fetches what other processes have noted of shards, where they have.

        Raises:
            OutputError: If it cannot be read.
        """
        work_dir = os.path.join(self.stage, WORK_DIR)

        def fetch(name: str) -> None:
            note = state_name(name)
            with contextlib.suppress(FileNotFoundError):
                content = bytes(self._work.read(note).data)
                Path(work_dir, note).write_bytes(content)
                state = _load_note(work_dir, name)
                if state is None or not state.clips:
                    return
                self._sizes[name] = self._store.facts(name).num_bytes
                self._stand_in(name, [_places(state)], work_dir)

        with self._errors(), ThreadPoolExecutor(_MAX_REQUESTS) as pool:
            list(pool.map(fetch, shard_names))

    def share(self, is_over: Callable[[], bool]) -> None:
        """Notes that other processes write here, too.

        Args:
            is_over: Tells whether they have finished the folder: then nothing is sent
                any more.
        """
        self._is_over = is_over
        # Whoever came first has removed the one, and sent the other.
        self._has_index, self._has_options = False, True

    def open_work_folder(self, useful: Collection[str], *, is_unfinished: bool) -> None:
        """Clears what other runs left, for a run that several processes share.

        Args:
            useful: The names of the files that stay.
            is_unfinished: Whether shards are missing; then the index is removed.

        Raises:
            OutputError: If that cannot be done.
        """
        with self._errors():
            if is_unfinished:
                self._remove_index()
            kept = {*useful, OPTIONS_FILE, f"{ALONE}.claim"}
            self._work.delete(n for n in self._work.sizes() or () if n not in kept)
            self._send_options()

    def send_work_file(self, name: str) -> None:
        """Sends a file of the working folder here to the one there.

        Raises:
            OutputError: If it cannot be sent.
        """
        with self._errors():
            self._work.write(name, Path(self.stage, WORK_DIR, name))

    def fetch_work_file(self, name: str) -> None:
        """Fetches a file of the working folder.

        Raises:
            OutputError: If it cannot be read.
        """
        with self._errors():
            content = bytes(self._work.read(name).data)
            Path(self.stage, WORK_DIR, name).write_bytes(content)

    def _send_options(self) -> None:
        path = Path(self.stage, WORK_DIR, OPTIONS_FILE)
        self._work.write(OPTIONS_FILE, path)
        self._has_options = True

    def send_shard(self, shard: WrittenShard, path: str) -> None:
        """Sends a shard that was written, and what notes that it is finished.

        Before the first one the index is removed: the folder is not finished now. Where
        others write too, a process that stood still may come when they have finished:
        then nothing is sent.

        Args:
            shard: The shard.
            path: Its file here, which stands for it from then on.

        Raises:
            OutputError: If it cannot be sent, or is not wanted any more.
        """
        with self._errors():
            self._refuse_if_over()
            self._remove_index()
            work_dir = os.path.join(self.stage, WORK_DIR)
            if not self._has_options:
                self._send_options()
            # First what would say that an older shard of the name is finished.
            note = state_name(shard.name)
            self._work.delete([note])
            self._store.write(shard.name, Path(path))
            self._work.write(note, Path(work_dir, note))
            try:
                self._refuse_if_over()
            except OutputError:
                self._work.delete([note])
                raise
            self._sizes[shard.name] = shard.num_bytes
            _write_stand_in(path, shard.num_bytes, _places(shard))

    def _refuse_if_over(self) -> None:
        if self._is_over():
            raise OutputError(f"other processes have finished {self.url} meanwhile")

    def finish(self) -> None:
        """Sends the files about the shards, `index.json` last, and removes the rest.

        Raises:
            OutputError: If one cannot be sent, or a shard is not there whole.
        """
        with self._errors():
            here = {p.name: p for p in Path(self.stage).iterdir() if p.is_file()}
            # Others may have written shards, and one that began this has died.
            found = self._store.sizes() or {}
            self._sizes = {n: found[n] for n in found if _SHARD.fullmatch(n)}
            self._has_index = INDEX_FILE in found
            files = {name: p for name, p in here.items() if not _SHARD.fullmatch(name)}
            changed = {
                name: path
                for name, path in files.items()
                if path.read_bytes() != self._files.get(name)
            }
            strays = [name for name in self._sizes if name not in here]
            empty = [name for name in here if _SHARD.fullmatch(name)]
            empty = [name for name in empty if name not in self._sizes]
            if changed or strays or empty or not self._has_index:
                self._remove_index()
                for name in empty:
                    self._store.write(name, b"")
                self._store.delete(
                    [*strays, *(n for n in self._files if n not in here)]
                )
                self._check_sizes(here)
                for name in sorted(files, key=lambda name: name == INDEX_FILE):
                    if name in changed or name == INDEX_FILE:
                        self._store.write(name, files[name])
            # First what says that the run goes on, for the processes that joined it.
            names = self._work.sizes() or {}
            self._work.delete(sorted(names, key=lambda name: name != PLAN_FILE))

    def _check_sizes(self, here: dict[str, Path]) -> None:
        found = self._store.sizes() or {}
        for name, path in here.items():
            if _SHARD.fullmatch(name) and found.get(name) != path.stat().st_size:
                raise OutputError(
                    f"{join_path(self.url, name)} has {found.get(name)} bytes, and "
                    f"{path.stat().st_size} were written; run the same command again"
                )

    def _remove_index(self) -> None:
        if self._has_index:
            self._store.delete([INDEX_FILE])
            self._has_index = False


def _load_note(work_dir: str, name: str) -> WrittenShard | None:
    """Reads the note of a shard; None if it is missing, or cannot be one of it."""
    noted = load_state(os.path.join(work_dir, state_name(name)))
    if noted is None or noted.name != name or not noted.is_filled:
        return None
    return noted


def _places(shard: WrittenShard) -> _Records:
    return [(c.offset, c.num_bytes, c.crc) for c in shard.clips]


def _write_stand_in(path: str, num_bytes: int, records: _Records) -> None:
    """Writes a file of a size with nothing but the checksums behind its records."""
    aside = f"{path}.stand-in"
    with open(aside, "wb") as file:
        file.truncate(num_bytes)
        for offset, length, crc in records:
            os.pwrite(file.fileno(), footer(crc), offset + HEADER_BYTES + length)
    os.replace(aside, path)


@contextlib.contextmanager
def remote_folder(url: str, *, is_planned: bool = False) -> Iterator[RemoteFolder]:
    """Yields a folder at a URL; what stands for it here is gone afterwards.

    Args:
        url: The folder of shards.
        is_planned: Whether another process has made the plan, and will finish the
            folder: then nothing is fetched.

    Raises:
        StoreError: If the store cannot be used.
        OutputError: If the folder cannot be read or written.
    """
    with temporary_folder("wlasl-shards-") as stage:
        remote = RemoteFolder(url, stage)
        if is_planned:
            remote.share(lambda: False)
            os.mkdir(os.path.join(stage, WORK_DIR))
        else:
            remote.fetch()
        with remote._errors():
            yield remote
