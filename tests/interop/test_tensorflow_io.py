"""Our shards at s3:// by TensorFlow's operations alone: bin/test --io.

tensorflow-io loads on TensorFlow 2.16 and 2.17 only: it has its own environment.
"""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from checkout import CHECKOUT
from object_stores import BUCKET, credentials, running_store, upload_folder
from other_environments import STATE, python_of

from wlasl_tfrecord import ShardReader

pytestmark = [
    pytest.mark.skipif(STATE is None, reason="bin/test --io runs it"),
    pytest.mark.timeout(3600),  # the first call installs a gigabyte
]
URL = f"s3://{BUCKET}/shards"


@pytest.fixture(scope="module")
def shards(write_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("raw") / "shards"
    return write_folder(folder, {"train": 7, "val": 3})


@pytest.fixture(scope="module")
def environment(shards):
    """The variables with which a program finds the folder at the URL."""
    with running_store() as server:
        upload_folder(shards, URL)
        yield {
            **os.environ,
            **credentials(server),
            # Those of tensorflow-io.
            "S3_ENDPOINT": server.url,
            "S3_VERIFY_SSL": "0",
            "CUDA_VISIBLE_DEVICES": "-1",
        }


def run(environment, *arguments):
    return subprocess.run(
        [python_of("io"), *arguments],
        env=environment,
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
    )


def test_the_clips_are_those_of_the_disk(environment, shards, tmp_path):
    program = Path(__file__).with_name("s3_clips.py")
    done = run(environment, program, URL, "val", tmp_path / "out.npz")
    # A program that is not ours aborts when it ends: docs/object-stores.md says why.
    assert done.stdout == "read\n", done.stderr[-3000:]
    assert done.returncode in (0, -6)
    expected = ShardReader(shards, "val").read_batch(range(3))
    with np.load(tmp_path / "out.npz") as read:
        np.testing.assert_array_equal(read["frames"], expected)
        np.testing.assert_array_equal(read["plain"], expected.reshape(3, -1))


def test_a_command_ends_with_its_own_code(environment):
    code = (
        "import argparse, sys\n"
        "from wlasl_tfrecord import input_fn\n"
        "from wlasl_tfrecord.cli import command\n"
        "def body(arguments):\n"
        f"    for _ in input_fn({URL!r}, 'val', 1, reader='graph'): pass\n"
        "    print('all of it')\n"
        "    return int(arguments.code)\n"
        "parser = command.make_parser('io', 'Reads.')\n"
        "parser.add_argument('code')\n"
        "sys.exit(command.run('io', parser, body))"
    )
    for expected in (0, 3):
        done = run(environment, "-c", code, str(expected))
        assert (done.returncode, done.stdout) == (expected, "all of it\n"), done.stderr
