"""A run that several processes share, on one machine or on many.

A shard is a function of the plan alone, and every process has the whole plan, so they
need to agree only on who writes what: each claims a shard, writes it, notes it in the
working folder, and claims the next. When all are noted, one of them finishes the
folder.

The working folder is on a disk that all see, or in the object store of a URL. Then each
process has a folder of its own that stands for it (`remote_folder`), and fetches what
the others have noted.
"""

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from wlasl_tfrecord.errors import OutputError
from wlasl_tfrecord.files import real_folder
from wlasl_tfrecord.shard_format.layout import INDEX_FILE
from wlasl_tfrecord.sharding.claims import ALONE, Claims
from wlasl_tfrecord.sharding.output_folder import (
    PLAN_FILE,
    WORK_DIR,
    open_work_folder,
    output_errors,
)
from wlasl_tfrecord.sharding.plan import PlannedShard
from wlasl_tfrecord.sharding.remote_folder import RemoteFolder
from wlasl_tfrecord.sharding.resume import finished_shards, known_shards
from wlasl_tfrecord.sharding.run_plan import FolderPlan
from wlasl_tfrecord.sharding.shared_folder import DiskFolder, SharedFolder, StoreFolder
from wlasl_tfrecord.sharding.written_shard import (
    WrittenShard,
    describes,
    is_intact,
    load_state,
    state_name,
)

__all__ = ["JoinedRun", "alone_at", "joined_run", "remove_left_work"]

_SET_UP, _FINISH, _MEMBER = "set-up", "finish", "member"
# Its claim is renewed every ten seconds.
ALONE_SECONDS = 25.0
# Times of stores are whole seconds, and lists some seconds old.
_MARGIN_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class _Work:
    """The run of one process, and what it shares with the others."""

    plan: FolderPlan
    folder: SharedFolder
    claims: Claims
    remote: RemoteFolder | None

    @property
    def work_dir(self) -> str:
        """The working folder of this machine."""
        return os.path.join(self.plan.out, WORK_DIR)


class JoinedRun:
    """The share of one process in a run.

    Attributes:
        written: Name -> shard, for those that are known to be finished, whoever wrote
            them.
    """

    def __init__(self, work: _Work, finished: Mapping[str, WrittenShard]) -> None:
        self.written: dict[str, WrittenShard] = dict(finished)
        self._work = work
        self._plan = work.plan
        self._claims = work.claims

    def claimed(self, shards: Iterable[PlannedShard]) -> Iterator[PlannedShard]:
        """Claims those of some shards that nobody has claimed or written, in turn."""
        for shard in shards:
            if self._claims.take(shard.name):
                if self._unnoted([shard]):
                    yield shard
                else:  # it was noted between the two looks
                    self._claims.release(shard.name)

    def unwritten(self) -> list[PlannedShard]:
        """Returns the shards that nobody has finished so far."""
        names = self._work.folder.names()
        left = [s for s in self._plan.shards if s.name not in self.written]
        noted = [shard for shard in left if state_name(shard.name) in names]
        unnoted = {shard.name for shard in self._unnoted(noted)}
        seen = {shard.name for shard in noted}
        return [s for s in left if s.name not in seen or s.name in unnoted]

    def release(self, shard: PlannedShard) -> None:
        """Gives up the claim to a shard, which is on the disk and noted."""
        self._claims.release(shard.name)

    def wait(self) -> None:
        """Waits a moment for the others."""
        time.sleep(self._work.folder.poll_seconds)

    def is_over(self) -> bool:
        """Whether another process has finished the folder."""
        return _plan_there(self._work.folder) != _digest(self._plan)

    def may_finish(self) -> bool:
        """Waits until this process is to finish the folder, or another one has.

        Returns:
            Whether it is this one. If not, `written` has all shards.

        Raises:
            OutputError: If another process finished the folder, and it is not whole.
        """
        while not self.is_over():
            try:
                if self._claims.take(_FINISH) and not self.is_over():
                    return True
            except FileNotFoundError:
                break
            self.wait()
        if self._work.remote is not None:
            self._work.remote.fetch()
        known = known_shards(self._plan.out, self._plan.options, overwrite=False)
        planned = {shard.name for shard in self._plan.shards}
        found = {name: shard for name, shard in known.items() if name in planned}
        self.written = found | self.written
        if planned - self.written.keys():
            raise OutputError(
                f"another process ended the run in {self._plan.out} before all shards "
                "were written; run the same command again: it resumes"
            )
        return False

    def is_finishing(self) -> bool:
        """Whether it is still this process that is to finish the folder."""
        return self._claims.holds(_FINISH)

    def _unnoted(self, shards: Sequence[PlannedShard]) -> list[PlannedShard]:
        """Returns those that no process has written as they are planned here."""
        if self._work.remote is not None:
            left = [shard.name for shard in shards if shard.name not in self.written]
            self._work.remote.fetch_notes(left)
        return [shard for shard in shards if not self._is_noted(shard)]

    def _is_noted(self, shard: PlannedShard) -> bool:
        if shard.name in self.written:
            return True
        work_dir = self._work.work_dir
        state = load_state(os.path.join(work_dir, state_name(shard.name)))
        if (
            state is None
            or not describes(state, shard)
            or not is_intact(os.path.join(work_dir, shard.name), state)
        ):
            return False
        self.written[shard.name] = state
        return True


@contextlib.contextmanager
def joined_run(plan: FolderPlan, remote: RemoteFolder | None) -> Iterator[JoinedRun]:
    """Starts a run that others can join, or joins one.

    Args:
        plan: The plan.
        remote: The folder at a URL, if `plan.out` stands for one.

    Raises:
        OutputError: If the processes that write to the folder have another plan, or it
            cannot be written.
    """
    folder = _shared_folder(plan, remote)
    with output_errors(plan.out):
        real_folder(os.path.join(plan.out, WORK_DIR))
    with Claims(folder) as claims:
        work = _Work(plan=plan, folder=folder, claims=claims, remote=remote)
        with output_errors(plan.out):
            while (finished := _enter(work)) is None:
                time.sleep(folder.poll_seconds)
                # The run that is just ending removes it.
                folder.open()
        run = JoinedRun(work, finished)
        if remote is not None:
            remote.share(run.is_over)
            yield run
            return
        # A disk may fail, or no file be where a claim or the plan is looked for.
        with output_errors(plan.out):
            yield run


def _shared_folder(plan: FolderPlan, remote: RemoteFolder | None) -> SharedFolder:
    if remote is not None:
        return StoreFolder(remote.work_url)
    return DiskFolder(os.path.join(plan.out, WORK_DIR))


def remove_left_work(plan: FolderPlan, remote: RemoteFolder | None) -> None:
    """Removes the working folder of a run that has finished, if nobody uses it.

    Whoever finished it may have been killed before.
    """
    folder = _shared_folder(plan, remote)
    with contextlib.suppress(OSError):
        if folder.names():
            with Claims(folder) as claims:
                if claims.take(_SET_UP) and not _has_members(folder, claims):
                    folder.clear()


@contextlib.contextmanager
def alone_at(remote: RemoteFolder) -> Iterator[None]:
    """Keeps other runs from a URL, as a lock keeps them from a folder of a disk.

    Where another one wrote a moment ago, it is watched for half a minute: one that was
    killed does not renew its claim.

    Raises:
        OutputError: If a process that lives writes to the URL.
    """
    folder = StoreFolder(remote.work_url)
    with Claims(folder) as claims:
        with output_errors(remote.url):
            if _has_members(folder, claims):
                raise OutputError(
                    f"processes on other machines write to {remote.url} with --join; "
                    "add it too, or wait until they end; one that was killed counts "
                    "for two minutes"
                )
            give_up = time.monotonic() + ALONE_SECONDS + _MARGIN_SECONDS
            has_waited = False
            while not claims.take(ALONE, ALONE_SECONDS):
                has_waited = True
                if time.monotonic() > give_up:
                    raise OutputError(
                        f"another run is writing to {remote.url}; wait for it, choose "
                        "another --out, or share the work by --join in all"
                    )
                time.sleep(folder.poll_seconds)
        if has_waited:
            remote.fetch()  # the other one may have finished it meanwhile
        yield


def _enter(work: _Work) -> Mapping[str, WrittenShard] | None:
    """Joins the run; returns the shards that were finished before, or None for later.

    Raises:
        OutputError: If those at work have another plan.
        OSError: If the folder cannot be written.
    """
    try:
        if not work.claims.take(_SET_UP):
            return None
        try:
            return _set_up(work)
        finally:
            work.claims.release(_SET_UP)
    except FileNotFoundError:
        return None


def _set_up(work: _Work) -> Mapping[str, WrittenShard] | None:
    """Joins those that are at work, or clears the folder of a run that has ended.

    Returns:
        Name -> shard, for those that were there before this run; None if a run is just
        ending.

    Raises:
        OutputError: If those at work have another plan.
    """
    plan, folder = work.plan, work.folder
    there, finished = _plan_there(folder), plan.finished
    if not _has_members(folder, work.claims):
        finished = _start(work)
        folder.write(PLAN_FILE, _digest(plan))
    elif not there:
        return None
    elif there != _digest(plan):
        raise OutputError(
            f"processes on other machines write to {plan.out} with another plan: they "
            "see other videos, labels or options; give all the same, or wait until "
            f"they end ({INDEX_FILE} appears then)"
        )
    work.claims.take(f"{_MEMBER}.{work.claims.owner}")
    return finished


def _start(work: _Work) -> Mapping[str, WrittenShard]:
    """Clears the working folder for a run; returns the shards that are finished.

    Raises:
        OutputError: If another run has ended meanwhile, and had other options.
    """
    plan, remote = work.plan, work.remote
    is_left = work.claims.is_stale(ALONE, ALONE_SECONDS)
    if f"{ALONE}.claim" in work.folder.names() and not is_left:
        raise OutputError(
            f"another run is writing to {plan.out} without --join; wait for it; one "
            "that was killed counts for half a minute"
        )
    # Another run may have ended since this one was planned.
    if remote is not None:
        remote.fetch()
    known = known_shards(plan.out, plan.options, overwrite=False)
    found = finished_shards(plan.out, plan.shards, known, retry=False)
    # What is left of others is of no use, but for this run's own claim.
    useful = {*found.work_files, f"{_SET_UP}.claim"}
    open_work_folder(plan.out, plan.options, useful)
    if remote is not None:
        missing = [s for s in plan.shards if s.name not in found.shards]
        remote.open_work_folder(useful, is_unfinished=bool(missing))
    return found.shards


def _has_members(folder: SharedFolder, claims: Claims) -> bool:
    """Whether a process that lives has joined the run in a folder."""
    names = [name for name in folder.names() if name.startswith(f"{_MEMBER}.")]
    return any(
        name.endswith(".claim") and not claims.is_stale(name.removesuffix(".claim"))
        for name in names
    )


def _plan_there(folder: SharedFolder) -> bytes:
    """Returns what the first process noted of its plan; empty if the run is over."""
    try:
        return folder.read(PLAN_FILE)
    except FileNotFoundError:
        return b""


def _digest(plan: FolderPlan) -> bytes:
    """Returns a hash of all that the processes of a run must agree on."""
    shards = [[shard.name, shard.fingerprint] for shard in plan.shards]
    kinds = [[name, outcome.kind] for name, outcome in plan.outcomes.items()]
    text = json.dumps([plan.options.to_dict(), plan.glosses, shards, sorted(kinds)])
    return hashlib.sha256(text.encode()).hexdigest().encode()
