"""The decoders: processes that turn many videos into clips, and may each fail."""

from collections.abc import Generator, Iterable, Sequence
from multiprocessing import connection

from wlasl_tfrecord.decoder_pool.jobs import (
    Decoded,
    DecoderLimits,
    Job,
    Task,
    Undecoded,
)
from wlasl_tfrecord.decoder_pool.worker import (
    Answer,
    Decoder,
    can_take,
    receive,
    record_of,
    release,
    send,
    start,
    stop,
)
from wlasl_tfrecord.shard_format.shard_options import ShardOptions, record_bytes

__all__ = [
    "Decoded",
    "DecoderLimits",
    "Undecoded",
    "decode_in_order",
]

# How many records may wait for their turn, so that the other decoders go on while one
# decodes a long video; and how many bytes of them.
_NUM_AHEAD = 8
_BYTES_AHEAD = 2**28


def decode_in_order(
    tasks: Iterable[Task],
    *,
    options: ShardOptions,
    limits: DecoderLimits,
    num_workers: int,
) -> Generator[tuple[Task, Decoded | Undecoded], None, None]:
    """Decodes in processes, and gives the results in the order of the tasks.

    What goes wrong in a process is one video's. Records wait for their turn in the
    memory in which they were made, a bounded number of them.

    Args:
        tasks: What to decode.
        options: What the clips shall be.
        limits: What one video may cost.
        num_workers: How many processes.

    Yields:
        Each task with its clip, or with the reason why there is none. The clip's bytes
        are good until the next result is asked for.

    Raises:
        WlaslError: If no decoder can be started.
    """
    waiting = iter(enumerate(tasks))
    results: dict[int, tuple[Decoder, Job, Answer | Undecoded]] = {}
    num_sent = num_given = 0
    exhausted = False
    num_waiting = min(_NUM_AHEAD, _BYTES_AHEAD // record_bytes(options))
    num_ahead = 2 * num_workers + num_waiting
    # A decoder with few others beside it may have to be far ahead of the next one.
    num_slots = 2 + -(-num_waiting // max(num_workers - 1, 1))
    decoders: list[Decoder] = []
    try:
        while not (exhausted and num_given == num_sent):
            while not exhausted and num_sent - num_given < num_ahead:
                decoder = _least_busy(decoders)
                if decoder is None or (decoder.jobs and len(decoders) < num_workers):
                    if len(decoders) == num_workers:
                        break
                    decoder = start(options, limits, num_slots)
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
                connection.wait([d.results.fileno() for d in busy], timeout=1.0)
            for decoder in busy:
                for job, answer in receive(decoder, options, limits):
                    results[job.number] = decoder, job, answer
            if num_given in results:
                decoder, job, answer = results.pop(num_given)
                num_given += 1
                if isinstance(answer, Undecoded):
                    yield job.task, answer
                else:
                    with record_of(decoder, job, answer) as record:
                        yield job.task, _decoded(record, answer)
                release(decoder, job)
    finally:
        for decoder in decoders:
            stop(decoder)


def _decoded(record: memoryview, answer: Answer) -> Decoded:
    return Decoded(
        record=record,
        crc=answer["crc"],
        num_distinct_frames=answer["num_distinct_frames"],
        range_rule=answer["range_rule"],
        num_video_frames=answer["num_video_frames"],
        notes=tuple(answer["notes"]),
    )


def _least_busy(decoders: Sequence[Decoder]) -> Decoder | None:
    """Gives a decoder that can take a further job; None if there is none."""
    return min(
        filter(can_take, decoders), key=lambda decoder: len(decoder.jobs), default=None
    )
