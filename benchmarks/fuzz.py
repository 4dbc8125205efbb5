"""Changes files of every kind that may come from others, at random, and reads them.

    python benchmarks/fuzz.py --mutations 10000 [--only KIND …] [--seed N]

A reader returns a value or raises one of the library's errors, in one line. Anything
else is a finding: another exception, more than two seconds of a core, or more than 200
MiB. Each is printed with its number, and the content that led to it is kept with
--keep. The same seed and number make the same change: --first 4711 --mutations 1
repeats one.

tests/end_to_end/test_untrusted_files.py runs a few hundred of each kind.
"""

import argparse
import asyncio
import contextlib
import copy
import dataclasses
import hashlib
import io
import json
import os
import random
import resource
import signal
import struct
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(CHECKOUT), str(CHECKOUT / "tests" / "helpers")]

from wlasl_tfrecord.errors import WlaslError  # noqa: E402

# What one change may cost: seconds of a core, seconds of the clock on a busy machine,
# and memory. A limit on the address space, so that a huge array is a MemoryError at
# once, and not the end of the machine.
SECONDS, WAIT_SECONDS = 2.0, 30.0
GROWTH_BYTES, ADDRESS_BYTES = 200 * 2**20, 8 * 2**30
# Values that a program may take for others, or choke on.
ODD_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 1.5, -0.0, 10**9, 2**31, 2**53, 2**63, 2**64),
    *(10**400, 1e308, float("nan"), float("inf"), "", " ", "x", "train", "raw", "0"),
    *("../x", "/dev/zero", "http://127.0.0.1/x", "\ud800", "a\nb", "\0", "9" * 5000),
    *("\x1b[2J", "\u202e", "=1+1", "x" * 100_000, [], {}, [[]], {"": ""}, [None]),
    *(["x"], [0, 1], {"name": 7}, {"class_name": "Lambda"}, [{}], [[0] * 9]),
)
ODD_BYTES = (
    *(b"", b"\0", b"\xff", b'"', b",", b"\n", b"-", b"{", b"]", b"e9999", b"\xed\xa0"),
    *(b"[" * 5000, b'{"a":' * 3000, b"9" * 400, b"\xff" * 8, b"\0" * 200, b"--edge"),
)
ODD_NUMBERS = (0, 1, 2, 7, 8, 2**7, 2**8 - 1, 2**15, 2**16, 2**31 - 1, 2**31, 2**32 - 1)

Change = Callable[[bytes, random.Random], bytes]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of file.

    Attributes:
        content: A file that is right.
        change: Makes another content of it.
        read: Does with a content all that the library does with it.
    """

    content: bytes
    change: Change
    read: Callable[[bytes], object]


@dataclass(kw_only=True)
class Outcome:
    """What became of the changes of one kind.

    Attributes:
        accepted: How many were read.
        refused: How many were refused in one line.
        findings: Number -> what went wrong.
        slowest: Seconds that the slowest took.
        grown: Bytes that the process has more at the end.
    """

    accepted: int = 0
    refused: int = 0
    findings: dict[int, str] = field(default_factory=dict)
    slowest: float = 0.0
    grown: int = 0

    def __str__(self) -> str:
        return (
            f"{self.accepted + self.refused + len(self.findings):,} changes: "
            f"{self.accepted:,} read, {self.refused:,} refused, "
            f"{len(self.findings)} findings; slowest {self.slowest:.2f} s, "
            f"{self.grown / 2**20:.0f} MiB more"
        )


class TooSlow(BaseException):
    """Not an Exception, which a reader could take for damage."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutations", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--keep", type=Path, help="a folder for what led to findings")
    arguments = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    numbers = range(arguments.first, arguments.first + arguments.mutations)
    print(f"seed {arguments.seed}, changes {numbers.start} to {numbers.stop - 1}")
    has_findings = False
    for name in arguments.only:
        with tempfile.TemporaryDirectory() as directory:
            kind = KINDS[name](Path(directory))
            outcome = fuzz(name, kind, numbers, arguments.seed, arguments.keep)
        print(f"{name}: {outcome}", flush=True)
        for number, finding in list(outcome.findings.items())[:20]:
            print(f"  {number}: {finding}")
        has_findings |= bool(outcome.findings)
    return int(has_findings)


def fuzz(
    name: str, kind: Kind, numbers: range, seed: int = 0, keep: Path | None = None
) -> Outcome:
    """Makes changes of one kind, and reads each."""
    outcome = Outcome()
    kind.read(kind.content)  # what is only loaded once is no growth
    for number in numbers:
        generator = random.Random(f"{seed} {name} {number}")
        content = kind.change(kind.content, generator)
        before, started = peak_bytes(), time.thread_time()
        outcome.grown = outcome.grown or -current_bytes()
        finding = None
        try:
            with limited():
                kind.read(content)
            outcome.accepted += 1
        except WlaslError as error:
            finding = wrong_message(str(error))
            outcome.refused += finding is None
        except BaseException as error:
            finding = f"{type(error).__name__}: {str(error)[:300]}"
            if isinstance(error, KeyboardInterrupt):
                raise
        seconds = time.thread_time() - started
        outcome.slowest = max(outcome.slowest, seconds)
        if seconds > SECONDS:
            finding = f"it took {seconds:.1f} s"
        if peak_bytes() - before > GROWTH_BYTES:
            finding = f"it took {(peak_bytes() - before) / 2**20:.0f} MiB"
        if finding is not None:
            outcome.findings[number] = finding
            if keep is not None:
                keep.mkdir(parents=True, exist_ok=True)
                (keep / f"{name}-{number}").write_bytes(content)
    outcome.grown += current_bytes()
    return outcome


@contextlib.contextmanager
def limited() -> Iterator[None]:
    """Ends what takes too long or too much memory."""

    def stop(*_: object) -> None:
        raise TooSlow(f"not over after {WAIT_SECONDS:g} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    limits = resource.getrlimit(resource.RLIMIT_AS)
    room = int(Path("/proc/self/statm").read_text().split()[0]) * 4096 + ADDRESS_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (room, limits[1]))
    signal.setitimer(signal.ITIMER_REAL, WAIT_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        resource.setrlimit(resource.RLIMIT_AS, limits)
        signal.signal(signal.SIGALRM, before)


def wrong_message(message: str) -> str | None:
    """Returns what is wrong with the message of an error; None if nothing is."""
    if len(message) > 20_000:
        return f"a message of {len(message):,} characters: {message[:200]}"
    if not message.strip() or len(message.splitlines()) > 1:
        return f"not one line: {message[:300]!r}"
    return None


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def current_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


# Changes.


def changed_bytes(content: bytes, generator: random.Random) -> bytes:
    """Changes a few bytes: flips, cuts, repeats, inserts."""
    changed = bytearray(content)
    for _ in range(generator.choice((1, 1, 1, 2, 5))):
        # Half of them where a file says what it is: at its beginning or end.
        near = min(len(changed), generator.choice((300, 300, 10**9, 10**9)))
        start = generator.choice((0, len(changed) - near))
        start += generator.randrange(near + 1)
        stop = start + generator.choice((0, 1, 1, 4, 8, 200))
        action = generator.randrange(5)
        if action == 0 and start < len(changed):
            changed[start] ^= 1 << generator.randrange(8)
        elif action == 1:
            changed[start:stop] = generator.choice(ODD_BYTES)
        elif action == 2:
            changed[start:start] = changed[start:stop]
        elif action == 3:
            size = generator.choice((1, 2, 4, 8))
            number = generator.choice((*ODD_NUMBERS, 2**40, 2**63, 2**64 - 1))
            order = generator.choice(("big", "little"))
            changed[start : start + size] = (number % 256**size).to_bytes(size, order)
        else:
            del changed[start:stop]
    return bytes(changed)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yields the path to every value inside of a value."""
    yield path
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*path, key))


def changed_json(content: bytes, generator: random.Random) -> bytes:
    """Changes values of a JSON text, or a few of its bytes."""
    if generator.random() < 0.3:
        return changed_bytes(content, generator)
    value = json.loads(content)
    for _ in range(generator.choice((1, 1, 1, 2, 4))):
        path = generator.choice(list(places(value)))
        odd = copy.deepcopy(generator.choice(ODD_VALUES))
        if not path:
            value = odd if generator.random() < 0.2 else value
            continue
        parent = value
        for key in path[:-1]:
            parent = parent[key]
        action = generator.random()
        if action < 0.15:
            del parent[path[-1]]
        elif action < 0.3:
            # A value from elsewhere in the file, such as a name that is taken.
            other = value
            for key in generator.choice(list(places(value))):
                other = other[key]
            parent[path[-1]] = copy.deepcopy(other)
        elif action < 0.35:
            for _ in range(generator.choice((100, 900))):
                odd = [odd]
            parent[path[-1]] = odd
            break  # nothing else walks so deep
        else:
            parent[path[-1]] = odd
    return json.dumps(value).encode()


def changed_table(content: bytes, generator: random.Random) -> bytes:
    """Changes cells of a CSV, or a few of its bytes."""
    if generator.random() < 0.3:
        return changed_bytes(content, generator)
    rows = [line.split(",") for line in content.decode().splitlines()]
    for _ in range(generator.choice((1, 1, 2, 3))):
        row = generator.choice(rows)
        odd = str(generator.choice(ODD_VALUES)).encode("utf-8", "replace").decode()
        action = generator.random()
        if action < 0.1:
            rows.insert(generator.randrange(len(rows)), list(row))
        elif action < 0.2:
            row.append(odd)
        elif action < 0.4:
            other = generator.choice(rows)
            column = generator.randrange(min(len(row), len(other)))
            row[column] = other[column]
        elif action < 0.5:
            row[generator.randrange(len(row))] = str(generator.randrange(-2, 9))
        else:
            row[generator.randrange(len(row))] = odd
    return "".join(",".join(row) + "\n" for row in rows).encode()


def changed_boxes(content: bytes, generator: random.Random) -> bytes:
    """Changes numbers and sizes of the boxes of an MP4, or puts boxes in twice."""
    if generator.random() < 0.2:
        return changed_bytes(content, generator)
    changed = bytearray(content)
    for _ in range(generator.choice((1, 1, 2, 4, 10))):
        names = (b"tkhd", b"elst", b"mvhd", b"mdhd", b"stts", b"stsz", b"stco", b"edts")
        names += (b"moov", b"trak", b"hdlr", b"stbl", b"ctts", b"stsd", b"mdat")
        found = changed.find(generator.choice(names))
        if found < 4:
            continue
        start = found - 4
        (size,) = struct.unpack(">I", changed[start : start + 4])
        action = generator.randrange(4)
        if action == 0:
            number = generator.choice(ODD_NUMBERS)
            changed[start : start + 4] = struct.pack(">I", number)
        elif action == 1:
            count = generator.choice((1, 10, 3000))
            changed[start:start] = changed[start : start + min(size, 500)] * count
        elif action == 2:
            empty = b"\0\0\0\x08free" * generator.choice((1, 2000, 200_000))
            changed[start + 8 : start + 8] = empty
        else:
            place = start + 8 + 4 * generator.randrange(max(1, min(size, 120) // 4))
            number = generator.choice(ODD_NUMBERS)
            changed[place : place + 4] = struct.pack(">I", number)
    return bytes(changed)


def changed_zip(content: bytes, generator: random.Random) -> bytes:
    """Changes members of a zip, with right checksums, or a few of its bytes."""
    if generator.random() < 0.4:
        return changed_bytes(content, generator)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = generator.choice(list(members))
    action = generator.randrange(4)
    if action == 0:
        shape = generator.choice(("()", "(-1,)", "(9999999999,)", "(0,)", "(2,2)"))
        kind = generator.choice(("<f4", "|O", "<U4", "|V9", "<M8[s]", "<f4,<f4", "<i8"))
        header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}"
        text = header.encode() + generator.choice((b"\n", b"(" * 3000, b""))
        length = struct.pack("<H", len(text))
        members[name] = b"\x93NUMPY\x01\0" + length + text + b"\0" * 16
    elif action == 1:
        members[name] = bytes(generator.choice((0, 1, 10**6)))
    elif action == 2:
        del members[name]
    else:
        members[name] = changed_bytes(members[name], generator)
    out = io.BytesIO()
    methods = (zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    method = generator.choice((*methods, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
    with zipfile.ZipFile(out, "w", method) as archive:
        for one, member in members.items():
            archive.writestr(one, member)
    return out.getvalue()


# Kinds.


def shard_kind(directory: Path, name: str, change: Change) -> Kind:
    """A small file of a shard folder, for readers, inspection and the next run."""
    from drawn_shards import write_folder

    from wlasl_tfrecord.evaluation.groups import groups_of
    from wlasl_tfrecord.inspection.summary import summarize, summary_text
    from wlasl_tfrecord.inspection.verify_files import verify_files
    from wlasl_tfrecord.shard_format.clips import ClipSpec
    from wlasl_tfrecord.shard_format.shard_folder import load_folder, load_records
    from wlasl_tfrecord.shard_format.shard_options import ShardOptions
    from wlasl_tfrecord.sharding.output_folder import check_output_folder
    from wlasl_tfrecord.sharding.resume import known_shards

    root = write_folder(directory / "shards")
    options = ShardOptions(clip=ClipSpec(num_frames=5, height=16, width=24))
    whole = load_folder(root)
    clips = [
        {
            "video_id": video_id,
            "split": split,
            "sha256": f"{n:064x}",
            "outcome": "written",
            "range_rule": "whole",
            "num_video_frames": 9,
            "num_distinct_frames": 5,
        }
        for split in whole.splits
        for n, video_id in enumerate(load_records(whole, split).video_ids)
    ]
    failed = {
        "video_id": "x",
        "split": "val",
        "outcome": "timeout",
        "reason": "y",
        "stage": "decode",
    }
    report = {
        "format_version": "1.0.0",
        "options": options.to_dict(),
        "shards": {shard.name: "0" for s in whole.splits for shard in whole.shards[s]},
        "instances": [*clips, failed],
    }
    (root / "report.json").write_text(json.dumps(report))
    content = (root / name).read_bytes()
    index = (root / "index.json").read_text()
    old_sha256 = hashlib.sha256(content).hexdigest()

    def read_all() -> None:
        folder = load_folder(root)
        for split in folder.splits:
            records = load_records(folder, split)
            # What a reader relies on without a look.
            assert all(folder.glosses[label] for label in records.labels)
            assert (records.offsets >= 0).all()
            groups_of(folder, split, np.arange(len(records)))
        verify_files(folder)
        summary_text(summarize(folder))

    def read(forged: bytes) -> None:
        (root / name).write_bytes(forged)
        if name.endswith(".csv"):
            # As whoever forges a table would do.
            new_sha256 = hashlib.sha256(forged).hexdigest()
            (root / "index.json").write_text(index.replace(old_sha256, new_sha256))
        check_output_folder(str(root))
        try:
            read_all()
        finally:
            known_shards(str(root), options, overwrite=False)

    return Kind(content=content, change=change, read=read)


def work_kind(directory: Path) -> Kind:
    """The note of an interrupted run about a finished shard."""
    from wlasl_tfrecord.shard_format.clips import ClipFacts
    from wlasl_tfrecord.sharding.written_shard import (
        WrittenClip,
        WrittenShard,
        is_intact,
        load_state,
        save_state,
    )

    path = directory / "state.json"
    facts = ClipFacts(range_rule="whole", num_video_frames=9, num_distinct_frames=5)
    clip = WrittenClip(video_id="1", offset=0, num_bytes=9, crc=1, facts=facts)
    shard = WrittenShard(name="s", fingerprint="0", num_bytes=25, clips=(clip,))
    save_state(shard, str(path))
    content = path.read_bytes()

    def read(forged: bytes) -> None:
        path.write_bytes(forged)
        state = load_state(str(path))
        if state is None:
            raise WlaslError("refused")
        (directory / "s").write_bytes(b"x" * 25)
        is_intact(str(directory / "s"), state)

    return Kind(content=content, change=changed_json, read=read)


def records_kind(directory: Path, codec: str) -> Kind:
    """The bytes of a record, with the checksums and the table that fit them."""
    from drawn_shards import write_folder

    from wlasl_tfrecord.input_pipeline.shard_reader import ShardReader
    from wlasl_tfrecord.shard_format.shard_folder import load_folder, load_records
    from wlasl_tfrecord.shard_format.tfrecord import footer, header, masked_crc

    root = write_folder(directory / "s", {"val": 1}, codec=codec, num_shards=1)
    folder = load_folder(root)
    records = load_records(folder, "val")
    path = Path(folder.shard_path(folder.shards["val"][0]))
    content = path.read_bytes()[12:-4]

    def read(forged: bytes) -> None:
        crc = masked_crc([forged])
        path.write_bytes(header(len(forged)) + forged + footer(crc))
        table = dataclasses.replace(
            records,
            num_bytes=np.array([len(forged)], np.int64),
            crcs=np.array([crc], np.uint32),
        )
        clip = ShardReader(folder, "val", records=table)[0]
        assert clip["frames"].shape == folder.clip.shape

    return Kind(content=content, change=changed_bytes, read=read)


def graph_kind(directory: Path, codec: str) -> Kind:
    """The same, for the operations of TensorFlow that `reader="graph"` consists of."""
    import tensorflow as tf
    from drawn_shards import write_folder

    from wlasl_tfrecord.errors import RecordError
    from wlasl_tfrecord.shard_format.decode_frames import decode_encoded
    from wlasl_tfrecord.shard_format.parsing import read_contents
    from wlasl_tfrecord.shard_format.shard_folder import load_folder
    from wlasl_tfrecord.shard_format.tfrecord import footer, header, masked_crc

    root = write_folder(directory / "s", {"val": 1}, codec=codec, num_shards=1)
    folder = load_folder(root)
    path = Path(folder.shard_path(folder.shards["val"][0]))
    content = path.read_bytes()[12:-4]

    @tf.function
    def decode():
        start = tf.constant(0, tf.int64)
        shard = tf.constant(str(path))
        contents, _, whole = read_contents(shard, start, folder.clip, folder.codec)
        with tf.control_dependencies([tf.debugging.Assert(whole, ["not whole"])]):
            encoded = tf.identity(contents["encoded"])
            return decode_encoded(encoded, folder.clip, folder.codec)

    def read(forged: bytes) -> None:
        crc = masked_crc([forged])
        path.write_bytes(header(len(forged)) + forged + footer(crc))
        try:
            decode()
        except tf.errors.InvalidArgumentError as error:
            raise RecordError("refused") from error

    return Kind(content=content, change=changed_bytes, read=read)


def annotation_kind(
    directory: Path, name: str, content: bytes, change: Change = changed_json
) -> Kind:
    """A label file beside a folder of videos."""
    from wlasl_tfrecord.annotations.reader import read_manifest

    src = directory / "videos"
    src.mkdir()
    for video_id in ("00335", "00336", "00338"):
        (src / f"{video_id}.mp4").touch()
    (directory / "wlasl_class_list.txt").write_text("0\tbook\n1\tdrink\n")
    path = directory / name

    def read(forged: bytes) -> None:
        path.write_bytes(forged)
        manifest = read_manifest(src, annotations=path)
        for instance in manifest.instances:
            assert instance.gloss == manifest.glosses[instance.label]
            assert instance.path is None or instance.path.startswith(str(src))
            instance.video_id.encode()

    return Kind(content=content, change=change, read=read)


WLASL = [
    {
        "gloss": "book",
        "instances": [
            {
                "bbox": [385, 37, 885, 720],
                "fps": 25,
                "frame_end": 57,
                "frame_start": 3,
                "instance_id": 0,
                "signer_id": 118,
                "source": "aslbrick",
                "split": "train",
                "url": "http://example.org/book.mp4",
                "variation_id": 0,
                "video_id": "00335",
            },
            {"video_id": "00336", "split": "val", "frame_end": -1},
        ],
    },
    {"gloss": "drink", "instances": [{"video_id": "00338", "split": "test"}]},
]
NSLT = {
    "00335": {"subset": "train", "action": [0, 1, 57]},
    "00338": {"subset": "test", "action": [1, 3, 20]},
}
TABLE = (
    "path,gloss,split,start,stop,signer_id\n00335.mp4,book,train,3,57,118\n"
    "00336.mp4,book,val,,,\n00338.mp4,drink,test,0,20,-1\n"
)


def run_config_kind(directory: Path) -> Kind:
    """`config.json` of a run that is to be resumed."""
    from wlasl_tfrecord.training.config import TrainConfig, changed_options
    from wlasl_tfrecord.training.run_config import read_run_config, trusted_recipe

    value = {
        "training": dataclasses.asdict(TrainConfig(recipe_options={"alpha": 0.35})),
        "data": "/shards",
        "index_sha256": {"train": "0" * 64, "val": "1" * 64},
        "recipe_sha256": "2" * 64,
        "num_replicas": 1,
    }

    def read(forged: bytes) -> None:
        (directory / "config.json").write_bytes(forged)
        stored = read_run_config(directory)
        changed_options(stored.training, TrainConfig())
        dict(stored.index_sha256)
        trusted_recipe(directory, stored)

    return Kind(content=json.dumps(value).encode(), change=changed_json, read=read)


def model_info_kind(directory: Path) -> Kind:
    """`model.json` beside a model."""
    from wlasl_tfrecord.network.model_info import read_model_info
    from wlasl_tfrecord.shard_format.clips import ClipSpec

    (directory / "model.keras").touch()
    value = {
        "format_version": 1,
        "glosses": ["book", "drink"],
        "clip": dataclasses.asdict(ClipSpec()),
        "framing": "center",
        "recipe": {"name": "mobilenetv2_lstm", "alpha": 0.35},
        "recipe_sha256": "0" * 64,
    }

    def read(forged: bytes) -> None:
        (directory / "model.json").write_bytes(forged)
        info = read_model_info(directory)
        assert all(gloss.encode() for gloss in info.glosses)
        assert info.clip.num_bytes
        dict(info.recipe)

    return Kind(content=json.dumps(value).encode(), change=changed_json, read=read)


def network_kind(directory: Path) -> Kind:
    """The description of the network inside of `model.keras`."""
    import keras

    from wlasl_tfrecord.network.saving import load_network

    frames = keras.Input((2, 4, 4, 3), dtype="uint8")
    x = keras.layers.Rescaling(1 / 255.0)(frames)
    x = keras.layers.TimeDistributed(keras.layers.Flatten())(x)
    x = keras.layers.LSTM(3)(x)
    x = keras.layers.Dense(2, activation="softmax")(keras.layers.Dropout(0.1)(x))
    path = directory / "model.keras"
    keras.Model(frames, x).save(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}

    def read(forged: bytes) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            for name, member in members.items():
                archive.writestr(name, forged if name == "config.json" else member)
        load_network(path)

    return Kind(content=members["config.json"], change=changed_json, read=read)


def checkpoint_kind(directory: Path, *, progress_alone: bool) -> Kind:
    """The newest checkpoint: where it is damaged, the one before is used."""
    from wlasl_tfrecord.training import checkpoints, history
    from wlasl_tfrecord.training.progress import Progress
    from wlasl_tfrecord.training.report import report_run

    row = {"phase": "head", "epoch": 1, "loss": 0.5, "top1": 0.5, "top5": 1.0}
    row |= {"seconds": 3.0, "val_loss": 1.0, "val_top1": 0.5, "val_top5": 0.6}
    progress = Progress(epoch=1, step=2, total_steps=9, rows=(row, row))
    arrays = {
        "model/kernel": np.ones((4, 5), np.float32),
        "step/count": np.int64(3) * np.ones((), np.int64),
    }
    older = checkpoints.Checkpoint(8, progress, arrays)
    checkpoints.save_checkpoint(directory, older)
    path = checkpoints.save_checkpoint(directory, older._replace(step=9))
    content = path.read_bytes()
    text = json.dumps(dataclasses.asdict(progress)).encode()

    def read(forged: bytes) -> None:
        if progress_alone:
            values = {"progress.json": np.frombuffer(forged, np.uint8), **arrays}
            out = io.BytesIO()
            np.savez(out, allow_pickle=False, **values)
            forged = out.getvalue()
        path.write_bytes(forged)
        lines: list[str] = []
        found = checkpoints.load_newest(directory, lines.append)
        assert found is not None
        rows = found.progress.rows
        if rows:
            str(report_run(directory, rows))
            history.is_drawing_due(rows)
            history.write_history(directory, rows)
            history.read_history(directory)
        copied = found.progress.snapshot()
        copied.stopping.add_epoch((0.5, -1.0), 1.0)
        json.dumps(dataclasses.asdict(copied))
        if found.step == 8:
            raise WlaslError(" ".join(lines).replace("\n", " ") or "no reason")

    if progress_alone:
        return Kind(content=text, change=changed_json, read=read)
    return Kind(content=content, change=changed_zip, read=read)


def history_kind(directory: Path) -> Kind:
    """`history.csv` of a run."""
    from wlasl_tfrecord.training.history import COLUMNS, read_history

    row = ",".join(["head", *("1.5" for _ in COLUMNS[1:])])
    content = f"{','.join(COLUMNS)}\n{row}\n{row}\n".encode()

    def read(forged: bytes) -> None:
        (directory / "history.csv").write_bytes(forged)
        read_history(directory)

    return Kind(content=content, change=changed_table, read=read)


def boxes_kind(directory: Path) -> Kind:
    """The boxes of an MP4."""
    from drawn_videos import write_numbered_video

    from wlasl_tfrecord.video.mp4_boxes import read_video_track

    path = directory / "a.mp4"
    write_numbered_video(path, num_frames=8)

    def read(forged: bytes) -> None:
        path.write_bytes(forged)
        track = read_video_track(str(path))
        if track is None:
            raise WlaslError("refused")
        if track.frame_times is not None:
            assert np.isfinite(track.frame_times).all()
            assert all(len(sample) <= 2**16 for sample in track.key_samples)

    content = path.read_bytes()
    # Without an edit list there is none to change.
    found = content.find(b"trak")
    (size,) = struct.unpack(">I", content[found - 4 : found])
    elst = struct.pack(">I4sIIIiI", 28, b"elst", 0, 1, 320, 0, 0x10000)
    edts = struct.pack(">I4s", len(elst) + 8, b"edts") + elst
    moov = content.find(b"moov")
    (moov_size,) = struct.unpack(">I", content[moov - 4 : moov])
    with_edit = bytearray(content)
    with_edit[found - 4 : found] = struct.pack(">I", size + len(edts))
    with_edit[moov - 4 : moov] = struct.pack(">I", moov_size + len(edts))
    with_edit[found - 4 + size : found - 4 + size] = edts
    return Kind(content=bytes(with_edit), change=changed_boxes, read=read)


def headers_kind(_: Path) -> Kind:
    """The headers of a stream of H.264, HEVC or MPEG-4."""
    from wlasl_tfrecord.video.codec_headers import is_progressive, turns_pictures

    unit = bytes.fromhex("6764001facd940c029b0110000030001000003003c0f183196")
    extradata = b"\x01\x64\0\x1f\xff\xe1" + struct.pack(">H", len(unit)) + unit + b"\1"
    packet = struct.pack(">I", 9) + b"\x06\x01\x04\x00\x00\x03\x00\x01\x80" * 2
    content = struct.pack(">H", len(extradata)) + extradata + packet

    def read(forged: bytes) -> None:
        size = int.from_bytes(forged[:2], "big")
        for codec in ("h264", "hevc", "fmp4", "x"):
            is_progressive(codec, forged[2 : 2 + size], [forged[2 + size :]])
            turns_pictures(codec, forged[2 : 2 + size], [forged[2 + size :]])

    return Kind(content=content, change=changed_bytes, read=read)


def upload_kind(directory: Path) -> Kind:
    """The body of a form that is sent to `bin/serve`."""
    from running_server import form
    from starlette.requests import Request

    from wlasl_tfrecord.serving.options import ServeOptions
    from wlasl_tfrecord.serving.upload import UploadError, received

    body, headers = form(b"a video" * 20)
    options = ServeOptions(max_mib=1)
    scope: Mapping[str, Any] = {
        "type": "http",
        "method": "POST",
        "path": "/predict",
        "headers": [(b"content-type", headers["Content-Type"].encode())],
    }

    async def send(forged: bytes) -> None:
        async def receive() -> Mapping[str, Any]:
            return {"type": "http.request", "body": forged, "more_body": False}

        request = Request(dict(scope), receive)  # pyright: ignore[reportArgumentType]
        async with received(request, directory, options) as upload:
            assert upload.path.stat().st_size == upload.num_bytes

    def read(forged: bytes) -> None:
        try:
            asyncio.run(send(forged))
        except UploadError as error:
            raise WlaslError(error.reason) from error
        assert os.listdir(directory) == []

    return Kind(content=body, change=changed_bytes, read=read)


KINDS: Mapping[str, Callable[[Path], Kind]] = {
    "index": lambda d: shard_kind(d, "index.json", changed_json),
    "table": lambda d: shard_kind(d, "wlasl-train.index.csv", changed_table),
    "info": lambda d: shard_kind(d, "dataset_info.json", changed_json),
    "report": lambda d: shard_kind(d, "report.json", changed_json),
    "work": work_kind,
    "raw-record": lambda d: records_kind(d, "raw"),
    "jpeg-record": lambda d: records_kind(d, "jpeg"),
    "png-record": lambda d: records_kind(d, "png"),
    "raw-graph": lambda d: graph_kind(d, "raw"),
    "jpeg-graph": lambda d: graph_kind(d, "jpeg"),
    "png-graph": lambda d: graph_kind(d, "png"),
    "config": run_config_kind,
    "model": model_info_kind,
    "network": network_kind,
    "progress": lambda d: checkpoint_kind(d, progress_alone=True),
    "npz": lambda d: checkpoint_kind(d, progress_alone=False),
    "history": history_kind,
    "boxes": boxes_kind,
    "headers": headers_kind,
    "csv": lambda d: annotation_kind(d, "a.csv", TABLE.encode(), changed_table),
    "wlasl": lambda d: annotation_kind(
        d, "WLASL_v0.3.json", json.dumps(WLASL).encode()
    ),
    "nslt": lambda d: annotation_kind(d, "nslt_2.json", json.dumps(NSLT).encode()),
    "upload": upload_kind,
}


if __name__ == "__main__":
    sys.exit(main())
