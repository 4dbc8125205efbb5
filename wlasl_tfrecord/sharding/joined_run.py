"""A run that several processes share, on one machine or on many with one file system.

A shard is a function of the plan alone, and every process has the whole plan, so they
need to agree only on who writes what: each claims a shard, writes it, notes it in the
working folder, and claims the next. When all are noted, one of them finishes the
folder.
"""

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping

from wlasl_tfrecord.errors import OutputError
from wlasl_tfrecord.files import read_bytes, real_folder, write_whole
from wlasl_tfrecord.shard_format.layout import INDEX_FILE
from wlasl_tfrecord.sharding.claims import Claims
from wlasl_tfrecord.sharding.output_folder import (
    PLAN_FILE,
    WORK_DIR,
    open_work_folder,
    output_errors,
)
from wlasl_tfrecord.sharding.plan import PlannedShard
from wlasl_tfrecord.sharding.resume import finished_shards, known_shards
from wlasl_tfrecord.sharding.run_plan import FolderPlan
from wlasl_tfrecord.sharding.written_shard import (
    WrittenShard,
    describes,
    is_intact,
    load_state,
    state_name,
)

__all__ = ["JoinedRun", "joined_run"]

_POLL_SECONDS = 0.5
_SET_UP, _FINISH, _MEMBER = "set-up", "finish", "member"


class JoinedRun:
    """The share of one process in a run.

    Attributes:
        written: Name -> shard, for those that are known to be finished, whoever wrote
            them.
    """

    def __init__(
        self, plan: FolderPlan, claims: Claims, finished: Mapping[str, WrittenShard]
    ) -> None:
        self.written: dict[str, WrittenShard] = dict(finished)
        self._plan = plan
        self._claims = claims
        self._work_dir = os.path.join(plan.out, WORK_DIR)

    def claimed(self, shards: Iterable[PlannedShard]) -> Iterator[PlannedShard]:
        """Claims those of some shards that nobody has claimed or written, in turn."""
        for shard in shards:
            if self._claims.take(shard.name):
                if self._is_noted(shard):  # between the two looks
                    self._claims.release(shard.name)
                else:
                    yield shard

    def unwritten(self) -> list[PlannedShard]:
        """Returns the shards that nobody has finished so far."""
        left = [s for s in self._plan.shards if s.name not in self.written]
        return [shard for shard in left if not self._is_noted(shard)]

    def release(self, shard: PlannedShard) -> None:
        """Gives up the claim to a shard, which is on the disk and noted."""
        self._claims.release(shard.name)

    def wait(self) -> None:
        """Waits a moment for the others."""
        time.sleep(_POLL_SECONDS)

    def is_over(self) -> bool:
        """Whether another process has finished the folder."""
        return _plan_there(self._work_dir) != _digest(self._plan)

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

    def _is_noted(self, shard: PlannedShard) -> bool:
        """Whether a process has written a shard, as it is planned here."""
        if shard.name in self.written:
            return True
        state = load_state(os.path.join(self._work_dir, state_name(shard.name)))
        if (
            state is None
            or not describes(state, shard)
            or not is_intact(os.path.join(self._work_dir, shard.name), state)
        ):
            return False
        self.written[shard.name] = state
        return True


@contextlib.contextmanager
def joined_run(plan: FolderPlan) -> Iterator[JoinedRun]:
    """Starts a run that others can join, or joins one.

    Raises:
        OutputError: If the processes that write to the folder have another plan, or it
            cannot be written.
    """
    work_dir = os.path.join(plan.out, WORK_DIR)
    with output_errors(plan.out):
        real_folder(work_dir)
    with Claims(work_dir) as claims:
        with output_errors(plan.out):
            while (finished := _enter(plan, work_dir, claims)) is None:
                time.sleep(_POLL_SECONDS)
                # The run that is just ending removes it.
                real_folder(work_dir)
        yield JoinedRun(plan, claims, finished)


def _enter(
    plan: FolderPlan, work_dir: str, claims: Claims
) -> Mapping[str, WrittenShard] | None:
    """Joins the run; returns the shards that were finished before, or None for later.

    Raises:
        OutputError: If those at work have another plan.
        OSError: If the folder cannot be written.
    """
    try:
        if not claims.take(_SET_UP):
            return None
        try:
            return _set_up(plan, work_dir, claims)
        finally:
            claims.release(_SET_UP)
    except FileNotFoundError:
        return None


def _set_up(
    plan: FolderPlan, work_dir: str, claims: Claims
) -> Mapping[str, WrittenShard] | None:
    """Joins those that are at work, or clears the folder of a run that has ended.

    Returns:
        Name -> shard, for those that were there before this run; None if a run is just
        ending.

    Raises:
        OutputError: If those at work have another plan.
    """
    there, finished = _plan_there(work_dir), plan.finished
    if not _has_members(work_dir, claims):
        # Another run may have ended since this one was planned.
        known = known_shards(plan.out, plan.options, overwrite=False)
        found = finished_shards(plan.out, plan.shards, known, retry=False)
        finished = found.shards
        # What is left of others is of no use, but for this run's own claim.
        useful = {*found.work_files, f"{_SET_UP}.claim"}
        open_work_folder(plan.out, plan.options, useful)
        write_whole(os.path.join(work_dir, PLAN_FILE), _digest(plan))
    elif not there:
        return None
    elif there != _digest(plan):
        raise OutputError(
            f"processes on other machines write to {plan.out} with another plan: they "
            "see other videos, labels or options; give all the same, or wait until "
            f"they end ({INDEX_FILE} appears then)"
        )
    claims.take(f"{_MEMBER}.{claims.owner}")
    return finished


def _has_members(work_dir: str, claims: Claims) -> bool:
    """Whether a process that lives has joined the run in a folder."""
    names = [name for name in os.listdir(work_dir) if name.startswith(f"{_MEMBER}.")]
    return any(
        name.endswith(".claim") and not claims.is_stale(name.removesuffix(".claim"))
        for name in names
    )


def _plan_there(work_dir: str) -> bytes:
    """Returns what the first process noted of its plan; empty if the run is over."""
    try:
        return read_bytes(os.path.join(work_dir, PLAN_FILE))
    except FileNotFoundError:
        return b""


def _digest(plan: FolderPlan) -> bytes:
    """Returns a hash of all that the processes of a run must agree on."""
    shards = [[shard.name, shard.fingerprint] for shard in plan.shards]
    kinds = [[name, outcome.kind] for name, outcome in plan.outcomes.items()]
    text = json.dumps([plan.options.to_dict(), plan.glosses, shards, sorted(kinds)])
    return hashlib.sha256(text.encode()).hexdigest().encode()
