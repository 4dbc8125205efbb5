"""Changes files of every kind that may come from others, at random, and reads them.

    python benchmarks/fuzz.py --mutations 10000 [--only KIND …] [--seed N]

A reader returns a value or raises one of the library's errors, in one line. Anything
else is a finding: another exception, more than two seconds of a core, or more than 200
MiB. Each is printed with its number, and the content that led to it is kept with
--keep. The same seed and number make the same change: --first 4711 --mutations 1
repeats one.

tests/end_to_end/test_untrusted_files.py runs a few hundred of each kind; the kinds are
in benchmarks/fuzz_kinds/.
"""

import argparse
import contextlib
import random
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(CHECKOUT), str(CHECKOUT / "tests" / "helpers")]

from benchmarks.fuzz_kinds import KINDS  # noqa: E402
from benchmarks.fuzz_kinds.kind import Kind  # noqa: E402
from wlasl_tfrecord.errors import WlaslError  # noqa: E402

# What one change may cost: seconds of a core, seconds of the clock on a busy machine,
# and memory. A limit on the address space, so that a huge array is a MemoryError at
# once, and not the end of the machine.
SECONDS, WAIT_SECONDS = 2.0, 30
GROWTH_BYTES, ADDRESS_BYTES = 200 * 2**20, 8 * 2**30


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
    # Counted one by one: where the whole process stands still, so does the count.
    num_seconds = 0

    def stop(*_: object) -> None:
        nonlocal num_seconds
        num_seconds += 1
        if num_seconds == WAIT_SECONDS:
            raise TooSlow(f"not over after {WAIT_SECONDS} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    limits = resource.getrlimit(resource.RLIMIT_AS)
    room = int(Path("/proc/self/statm").read_text().split()[0]) * 4096 + ADDRESS_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (room, limits[1]))
    signal.setitimer(signal.ITIMER_REAL, 1, 1)
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


if __name__ == "__main__":
    sys.exit(main())
