"""The kinds of files that benchmarks/fuzz.py changes, by family."""

from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.fuzz_kinds import (
    annotations,
    records,
    runs,
    serving,
    shard_folders,
    videos,
)
from benchmarks.fuzz_kinds.kind import Kind

__all__ = ["KINDS"]

# Name -> makes the kind in an empty folder.
KINDS: Mapping[str, Callable[[Path], Kind]] = {
    **shard_folders.KINDS,
    **records.KINDS,
    **runs.KINDS,
    **videos.KINDS,
    **annotations.KINDS,
    **serving.KINDS,
}
