"""The scripts and manifests of docs/cluster are right for bash and our commands."""

import re
import subprocess

import pytest
from checkout import CHECKOUT

from tests.project.test_documented_commands import options_of

FOLDER = CHECKOUT / "docs" / "cluster"
FILES = sorted(FOLDER.iterdir())


def shell_of(path):
    """Returns what bash runs: a script, or what a manifest gives to `bash -c`."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".sbatch":
        return text
    found = re.search(r"- bash\n +- -c\n(?: +#.*\n)* +- \|\n((?: {14}.*\n)+)", text)
    return found[1] if found else ""


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_shell_code_is_right(path):
    done = subprocess.run(
        ["bash", "-n"], input=shell_of(path), capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_commands_have_the_options_that_are_given(path):
    text = path.read_text(encoding="utf-8")
    command = re.search(
        r"(?:exec srun bin/|wlasl-|exec bin/)(shard|train|data\w+)", text
    )
    assert command is not None
    # In comments there are options of kubectl, sbatch and srun.
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    own = {"--kill-on-bad-exit"}
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", "\n".join(lines))) - own
    known = set().union(*map(options_of, ("shard", "train", "dataserver")))
    assert named
    assert named <= known


def test_the_pods_of_a_training_know_their_number():
    script = shell_of(FOLDER / "train.yaml")
    told = script.partition("wlasl-train --data")[0] + '\nprintf %s "$TF_CONFIG"'
    done = subprocess.run(
        ["bash", "-c", told],
        env={"HOSTNAME": "wlasl-train-1"},
        capture_output=True,
        text=True,
        check=True,
    )
    from wlasl_tfrecord.training.cluster import _read_tf_config

    names = tuple(f"wlasl-train-{n}.wlasl-train:5000" for n in range(2))
    assert _read_tf_config(done.stdout) == (names, 1)
