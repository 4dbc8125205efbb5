"""docs/api.md names what exists, and the pages import what exists."""

import importlib
import re

import pytest
from checkout import CHECKOUT

import wlasl_tfrecord

LIBRARY = CHECKOUT / "wlasl_tfrecord"
PAGE = (CHECKOUT / "docs" / "api.md").read_text(encoding="utf-8")
# The names in the first column of each section's table, without their arguments.
ROWS = {
    section.partition("\n")[0]: re.findall(
        r"`([\w.]+)(?:\([^`]*\))?`",
        " ".join(re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)),
    )
    for section in PAGE.split("\n## ")
}
LOWER = ROWS["One level down"]
IMPORTS = sorted(
    {
        (module, name.strip())
        for page in (CHECKOUT / "README.md", *(CHECKOUT / "docs").rglob("*.md"))
        for module, names in re.findall(
            r"^\s*(?:>>> )?from (wlasl_tfrecord[\w.]*) import ([\w, ]+)$",
            page.read_text(encoding="utf-8"),
            re.MULTILINE,
        )
        for name in names.split(",")
    }
)


def test_every_public_name_has_a_row_and_every_row_exists():
    assert sorted(ROWS["From `wlasl_tfrecord`"]) == sorted(wlasl_tfrecord.__all__)


def test_the_lower_level_has_rows():
    assert len(LOWER) > 12


@pytest.mark.parametrize("name", LOWER)
def test_a_name_of_the_lower_level_exists_and_is_public(name):
    module, _, attribute = name.rpartition(".")
    loaded = importlib.import_module(f"wlasl_tfrecord.{module}")
    assert hasattr(loaded, attribute)
    assert attribute in loaded.__all__


@pytest.mark.parametrize(("module", "name"), IMPORTS)
def test_what_a_page_imports_exists(module, name):
    assert hasattr(importlib.import_module(module), name)
