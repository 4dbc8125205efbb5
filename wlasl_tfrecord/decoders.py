"""The decoders: processes that turn many videos into clips, and may each fail."""

import os
from collections.abc import Generator, Iterable, Sequence
from multiprocessing import connection

from wlasl_tfrecord.decoder_handle import (
    JOBS_EACH,
    Decoded,
    Decoder,
    DecoderLimits,
    Job,
    Undecoded,
    receive,
    send,
    start,
    stop,
)
from wlasl_tfrecord.plan import ShardOptions, Task

__all__ = ["Decoded", "DecoderLimits", "Undecoded", "decode_in_order", "num_cores"]


def num_cores() -> int:
    """Counts the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def decode_in_order(
    tasks: Iterable[Task],
    *,
    options: ShardOptions,
    limits: DecoderLimits,
    num_workers: int,
) -> Generator[tuple[Task, Decoded | Undecoded], None, None]:
    """Decodes in processes, and gives the results in the order of the tasks.

    Each process has one task at a time, so that whatever goes wrong is one video's.
    Results wait for their turn in memory, a bounded number of them.

    Args:
        tasks: What to decode.
        options: What the clips shall be.
        limits: What one video may cost.
        num_workers: How many processes.

    Yields:
        Each task with its clip, or with the reason why there is none.

    Raises:
        WlaslError: If no decoder can be started.
    """
    waiting = iter(enumerate(tasks))
    results: dict[int, tuple[Task, Decoded | Undecoded]] = {}
    num_sent = num_given = 0
    exhausted = False
    # Room for the others to go on while one decodes a long video.
    num_ahead = num_workers * JOBS_EACH + 8
    decoders: list[Decoder] = []
    try:
        while not (exhausted and num_given == num_sent):
            while not exhausted and num_sent - num_given < num_ahead:
                decoder = _least_busy(decoders)
                if decoder is None or (decoder.jobs and len(decoders) < num_workers):
                    if len(decoders) == num_workers:
                        break
                    decoder = start(options, limits)
                    decoders.append(decoder)
                number, task = next(waiting, (-1, None))
                if task is None:
                    exhausted = True
                    break
                send(decoder, Job(number=number, task=task))
                num_sent += 1
            # Whoever takes the results writes them meanwhile: look at the decoders
            # first, so that none of them waits for that.
            busy = [decoder for decoder in decoders if decoder.jobs]
            if num_given not in results:
                # A second is soon enough to see that one is out of time.
                connection.wait([d.results_fd for d in busy], timeout=1.0)
            for decoder in busy:
                for job, result in receive(decoder, options, limits):
                    results[job.number] = job.task, result
            if num_given in results:
                yield results.pop(num_given)
                num_given += 1
    finally:
        for decoder in decoders:
            stop(decoder)


def _least_busy(decoders: Sequence[Decoder]) -> Decoder | None:
    """Gives a decoder that can take a further job; None if there is none."""
    least = min(decoders, key=lambda decoder: len(decoder.jobs), default=None)
    return least if least and len(least.jobs) < JOBS_EACH else None
