"""Recipes that the user has trained with: remembered outside of any run folder."""

import hashlib
import os

import pytest

from wlasl_tfrecord.network.own_recipes import (
    is_own_recipe,
    is_own_run,
    remember_recipe,
)

SHA256 = hashlib.sha256(b"a recipe").hexdigest()


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "wlasl_tfrecord" / "recipes"


def test_only_what_was_remembered_is_own():
    assert not is_own_recipe(SHA256)
    remember_recipe(SHA256)
    assert is_own_recipe(SHA256)
    assert not is_own_run(SHA256)
    assert not is_own_recipe(hashlib.sha256(b"another").hexdigest())


@pytest.mark.parametrize("text", ["", ".", "..", "../recipes", SHA256.upper()])
def test_what_is_no_hash_is_nobodys(text):
    remember_recipe(SHA256)
    assert not is_own_recipe(text)


def test_a_folder_that_others_can_write_to_is_not_believed(state):
    remember_recipe(SHA256)
    os.chmod(state, 0o777)
    assert not is_own_recipe(SHA256)


def test_where_nothing_can_be_written_nothing_is_remembered(state):
    state.parent.parent.mkdir()
    state.parent.write_text("in the way")
    remember_recipe(SHA256)
    assert not is_own_recipe(SHA256)
