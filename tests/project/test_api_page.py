"""docs/api.md names what exists."""

import importlib
import re

import pytest
from checkout import CHECKOUT

LIBRARY = CHECKOUT / "wlasl_tfrecord"
PAGE = (CHECKOUT / "docs" / "api.md").read_text(encoding="utf-8")
NAMES = sorted(
    {
        (module, name)
        for module, name in re.findall(r"([a-z_]+\.[a-z_0-9]+)\.([A-Za-z_]+)", PAGE)
        if (LIBRARY / f"{module.replace('.', '/')}.py").exists()
    }
)


def test_the_page_names_functions_of_modules():
    assert ("sharding.sharder", "write_shards") in NAMES
    assert len(NAMES) > 12


@pytest.mark.parametrize(("module", "name"), NAMES)
def test_a_named_function_exists_and_is_public(module, name):
    loaded = importlib.import_module(f"wlasl_tfrecord.{module}")
    assert hasattr(loaded, name)
    assert name in loaded.__all__
