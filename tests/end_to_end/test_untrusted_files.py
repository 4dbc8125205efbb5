"""Files of any content: read, or refused in one line, never another error.

Files of every kind that may come from others are changed at random, the same changes in
every run, as benchmarks/fuzz.py does with more of them.
"""

import pytest
from absl import logging

from benchmarks.fuzz import fuzz
from benchmarks.fuzz_kinds import KINDS

# Kinds of which any change is read: what a header leaves open is no error.
NEVER_REFUSED = {"headers"}
# A network takes longer to read than a small file, and one of HDF5 a process.
FEW = {"network": 100, "shard": 100, "h5": 60, "weights": 60}


@pytest.fixture(autouse=True)
def verbosity():
    """The log as it was: some kinds silence it, as they log each refusal."""
    before = logging.get_verbosity()
    yield
    logging.set_verbosity(before)


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_changed_files_are_read_or_refused(tmp_path, monkeypatch, name):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    directory = tmp_path / name
    directory.mkdir()
    numbers = range(FEW.get(name, 300))
    outcome = fuzz(name, KINDS[name](directory), numbers)
    assert outcome.findings == {}
    assert outcome.grown < 100 * 2**20
    # Both happen, so both are tested.
    assert outcome.accepted > 0
    assert outcome.refused > 10 or name in NEVER_REFUSED
