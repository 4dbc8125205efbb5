"""Codecs: their numbers, and that no other room names one."""

import ast
import re

import numpy as np
import pytest
from checkout import CHECKOUT

from wlasl_tfrecord.shard_format.clips import ClipSpec
from wlasl_tfrecord.shard_format.codecs import (
    CODECS,
    PLAIN_CODEC,
    SMALLEST_CODEC,
    codec_facts,
    max_frames_bytes,
)
from wlasl_tfrecord.shard_format.encode_frames import encode_frames

# Figures for people, and folders of users, happen to have the same names.
OTHER_MEANINGS = {
    "figures.py",
    "inference/sign_files.py",
    "inspection/contact_sheet.py",
    "annotations/gloss_folders.py",
}


def named_codecs(path):
    """Returns the codecs that a file names in its strings, docstrings left out."""
    tree = ast.parse(path.read_text())
    documented = (ast.Module, ast.FunctionDef, ast.ClassDef)
    bodies = [node.body for node in ast.walk(tree) if isinstance(node, documented)]
    # A string on its own at the start of a body is its docstring.
    docs = {id(body[0].value) for body in bodies if isinstance(body[0], ast.Expr)}
    strings = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in docs
    ]
    names = "|".join(CODECS)
    found = [re.findall(rf"^({names})$|--codec ({names})", text) for text in strings]
    return {name for groups in found for pair in groups for name in pair if name}


def test_only_the_shard_format_names_a_codec():
    library = CHECKOUT / "wlasl_tfrecord"
    naming = {
        str(path.relative_to(library))
        for path in library.rglob("*.py")
        if named_codecs(path)
    }
    rooms = {name for name in naming if not name.startswith("shard_format/")}
    assert rooms <= OTHER_MEANINGS
    assert "shard_format/codecs.py" in naming


def test_the_named_codecs_are_what_they_are_called():
    assert not codec_facts(PLAIN_CODEC).stores_images
    sizes = {codec: codec_facts(codec).bytes_per_value for codec in CODECS}
    assert min(sizes, key=sizes.__getitem__) == SMALLEST_CODEC


@pytest.mark.parametrize("codec", CODECS)
def test_frames_never_take_more_than_their_bound(codec):
    clip = ClipSpec(num_frames=3, height=17, width=40)
    noise = np.random.default_rng(0).integers(0, 256, clip.shape, np.uint8)
    stored = encode_frames(noise, (0, 1, 2), codec, jpeg_quality=100)
    size = len(stored) if isinstance(stored, memoryview) else sum(map(len, stored))
    assert size <= max_frames_bytes(clip, codec)
