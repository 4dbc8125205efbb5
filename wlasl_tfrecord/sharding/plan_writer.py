"""What writes the shards of a plan, here or on the workers of a runner."""

import contextlib
import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from tqdm import tqdm

from wlasl_tfrecord.decoder_pool.jobs import VideoLimits
from wlasl_tfrecord.decoder_pool.pool import decode_in_order
from wlasl_tfrecord.sharding.beam_run import BeamRunner, write_on_runner
from wlasl_tfrecord.sharding.output_folder import WORK_DIR, output_errors
from wlasl_tfrecord.sharding.plan import PlannedShard
from wlasl_tfrecord.sharding.remote_folder import RemoteFolder
from wlasl_tfrecord.sharding.remote_videos import RemoteVideos
from wlasl_tfrecord.sharding.run_plan import MAX_UNSENT, FolderPlan
from wlasl_tfrecord.sharding.shard_writer import settle_shard, write_shard
from wlasl_tfrecord.sharding.written_shard import WrittenShard

__all__ = ["PlanWriter"]


@dataclass(frozen=True)
class PlanWriter:
    """What writes shards of a plan into the working folder."""

    plan: FolderPlan
    limits: VideoLimits
    num_workers: int
    show_progress: bool
    runner: BeamRunner | None
    remote: RemoteFolder | None
    videos: RemoteVideos | None

    def write_missing(self) -> dict[str, WrittenShard]:
        """Writes the shards that are not finished, here or on a runner.

        Returns:
            Name -> shard.
        """
        plan = self.plan
        if self.runner is None:
            return self.write(plan.unwritten)
        return write_on_runner(
            plan, self.limits, self.num_workers, self.runner, self.remote, self.videos
        )

    def write(
        self,
        shards: Iterable[PlannedShard],
        settled: Callable[[PlannedShard], None] = lambda _: None,
    ) -> dict[str, WrittenShard]:
        """Writes shards, which may be chosen while others are written.

        Args:
            shards: What to write.
            settled: Called when a shard is on the disk and noted, in another thread.

        Returns:
            Name -> shard.
        """
        plan = self.plan
        work_dir = os.path.join(plan.out, WORK_DIR)
        num_tasks = sum(len(shard.tasks) for shard in plan.unwritten)
        written: dict[str, WrittenShard] = {}
        # The disk takes its time; meanwhile the next shard is written.
        settler = ThreadPoolExecutor(max_workers=1)
        settling: list[Future[None]] = []
        to_decode, to_write = itertools.tee(shards)
        tasks = (task for shard in to_decode for task in shard.tasks)
        decoded = decode_in_order(
            tasks if self.videos is None else self.videos.fetched(tasks),
            options=plan.options,
            limits=self.limits,
            num_workers=min(self.num_workers, max(num_tasks, 1)),
        )

        results = decoded if self.videos is None else self.videos.released(decoded)

        def settle(shard: PlannedShard, path: str) -> None:
            settle_shard(written[shard.name], path)
            if self.remote is not None:
                self.remote.send_shard(written[shard.name], path)
            settled(shard)

        with (
            # So that the workers end when writing fails, and not when Python exits.
            contextlib.closing(decoded),
            tqdm(total=num_tasks, unit="clip", disable=not self.show_progress) as bar,
            output_errors(plan.out),
            _cancelled_at_end(settler),
        ):
            for shard in to_write:
                path = os.path.join(work_dir, shard.name)
                written[shard.name] = write_shard(shard, results, path, bar)
                settling.append(settler.submit(settle, shard, path))
                # A network may take longer than the decoders.
                if len(settling) > MAX_UNSENT:
                    settling[-MAX_UNSENT - 1].result()
            for future in settling:
                future.result()
        return written


@contextlib.contextmanager
def _cancelled_at_end(pool: ThreadPoolExecutor) -> Iterator[None]:
    """Ends a pool, and cancels what it has not begun."""
    try:
        yield
    finally:
        pool.shutdown(cancel_futures=True)
