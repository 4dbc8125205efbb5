"""docs/architecture.md tells of the rooms, imports and files that there are."""

import re

from checkout import CHECKOUT

from tests.test_architecture import GROUND, MAY_IMPORT

PAGE = (CHECKOUT / "docs" / "architecture.md").read_text(encoding="utf-8")


def table_of_rooms():
    """Returns the last column of the table of rooms, by room."""
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \|([^|]*)\|$", PAGE, re.MULTILINE)
    return {room: cell.strip() for room, cell in rows}


def test_the_table_of_imports_is_the_one_that_is_tested():
    rooms = set(MAY_IMPORT)
    words = {
        "every room": rooms - {"cli"},
        "every room but `cli`": rooms - {"cli", "synthetic"},
    }
    told = {
        room: words.get(cell) or set(re.findall(r"`(\w+)`", cell))
        for room, cell in table_of_rooms().items()
    }
    assert told == {room: set(names.split()) for room, names in MAY_IMPORT.items()}


def test_the_table_begins_below_and_ends_above():
    below = set()
    for room in table_of_rooms():
        assert set(MAY_IMPORT[room].split()) <= below, room
        below.add(room)


def test_the_picture_shows_every_room():
    picture = PAGE.partition("```mermaid\n")[2].partition("```")[0]
    assert {
        room for room in MAY_IMPORT if not re.search(rf"\b{room}\b", picture)
    } == set()


def test_the_ways_are_told_by_files():
    # That each exists is a test of all pages.
    assert len(set(re.findall(r"`(\w+/\w+\.py)`", PAGE))) > 40


def test_the_ground_is_named():
    for name in GROUND:
        assert f"`{name}.py`" in PAGE
