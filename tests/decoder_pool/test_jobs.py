"""Jobs and answers: what goes through the pipes comes out the same."""

import dataclasses

from wlasl_tfrecord.annotations.manifest import Instance
from wlasl_tfrecord.decoder_pool.jobs import (
    Answer,
    Job,
    Task,
    Undecoded,
    answer_line,
    job_line,
    read_answer,
    read_job,
)
from wlasl_tfrecord.shard_format.clips import ClipFacts

INSTANCE = Instance(
    video_id="take: 2",
    gloss="手",
    label=3,
    split="val",
    path="videos/caf\udce9\n.mp4",
    start=4,
    annotation_fps=25.0,
)


def test_a_job_arrives_as_it_was_sent():
    job = Job(number=7, task=Task(instance=INSTANCE, sha256="0" * 64), buffer=2)
    assert job_line(job).count(b"\n") == 1
    assert read_job(job_line(job)) == (job.task, 2)


def test_two_jobs_with_the_longest_names_fit_into_a_pipe():
    longest = dataclasses.replace(
        INSTANCE,
        video_id="\U0001f44b" * 1000,
        gloss="\U0001f44b" * 1000,
        path="/" + "ü" * 2047 + "/" + "ü" * 127,
        # Which may be of any length, and which no worker needs.
        url="http://example.org/" + "x" * 100_000,
    )
    line = job_line(Job(number=0, task=Task(instance=longest, sha256="0" * 64)))
    assert 2 * len(line) < 65_536


def test_answers_arrive_as_they_were_sent():
    facts = ClipFacts(
        range_rule="cut",
        num_video_frames=9,
        num_distinct_frames=4,
        notes=("first: a", "second"),
    )
    for answer in (
        None,
        Answer(start=3, stop=90, crc=2**32 - 1, facts=facts),
        Undecoded(kind="too short", reason="too short: no frame: none"),
    ):
        line = answer_line(answer)
        assert line.endswith(b"\n")
        assert line.count(b"\n") == 1
        assert read_answer(line) == answer
