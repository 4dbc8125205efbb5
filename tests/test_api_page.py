"""docs/api.md names what exists."""

import importlib
import re

import pytest
from conftest import CHECKOUT

LIBRARY = CHECKOUT / "wlasl_tfrecord"
PAGE = (CHECKOUT / "docs" / "api.md").read_text(encoding="utf-8")
NAMES = sorted(
    {
        (module, name)
        for module, name in re.findall(r"`[^`]*?\b([a-z_]+)\.([A-Za-z_]+)", PAGE)
        if (LIBRARY / f"{module}.py").exists() and name != "py"
    }
)


def test_the_page_names_functions_of_modules():
    assert ("shards", "write_shards") in NAMES
    assert len(NAMES) > 12


@pytest.mark.parametrize(("module", "name"), NAMES)
def test_a_named_function_exists_and_is_public(module, name):
    loaded = importlib.import_module(f"wlasl_tfrecord.{module}")
    assert hasattr(loaded, name)
    assert name in loaded.__all__
