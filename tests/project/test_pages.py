"""What the pages link to and the files that they name exist."""

import re

import pytest
from checkout import CHECKOUT

PAGES = [
    CHECKOUT / "README.md",
    CHECKOUT / "CONTRIBUTING.md",
    *sorted((CHECKOUT / "docs").rglob("*.md")),
]
# Of the checkout, or of the library.
NAMED = re.compile(r"`((?:\w+/)+\w+\.py)`")


def headings(path):
    """Returns the anchors of a page, as GitHub makes them."""
    lines = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", line.lower()).replace(" ", "-") for line in lines}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_links_to_what_exists(page):
    for link in re.findall(r"\]\(([^)#\s]*)(?:#([\w-]+))?\)", page.read_text("utf-8")):
        name, anchor = link
        if name.startswith("http"):
            continue
        target = page.parent / name if name else page
        assert target.exists(), name
        assert not anchor or anchor in headings(target), anchor


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_names_files_that_exist(page):
    roots = CHECKOUT, CHECKOUT / "wlasl_tfrecord"
    named = set(NAMED.findall(page.read_text(encoding="utf-8")))
    assert {
        name for name in named if not any((root / name).is_file() for root in roots)
    } == set()
