"""Who may import whom, read from the source by `ast`.

docs/architecture.md tells of the rooms: a folder of the library is one. A room imports
from itself, from the ground (the files beside the rooms) and from the rooms named here;
imports run down only.
"""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import wlasl_tfrecord

CHECKOUT = Path(__file__).resolve().parents[1]
LIBRARY = CHECKOUT / "wlasl_tfrecord"

GROUND = {"child_processes", "errors", "figures", "files", "text"}
MAY_IMPORT = {
    "storage": "",
    "shard_format": "storage",
    "video": "shard_format",
    "annotations": "shard_format video",
    "landmarks": "shard_format video",
    "decoder_pool": "annotations landmarks shard_format video",
    "sharding": "annotations decoder_pool shard_format storage video",
    "input_pipeline": "shard_format storage",
    "network": "shard_format",
    "evaluation": "input_pipeline network shard_format storage",
    "training": "evaluation input_pipeline network shard_format",
    # A video of a stranger is decoded in the pool there too, within its limits.
    "inference": "annotations decoder_pool input_pipeline landmarks network "
    "shard_format video",
    "serving": "decoder_pool inference network shard_format video",
    "inspection": "input_pipeline shard_format storage video",
    "synthetic": "annotations decoder_pool evaluation inference input_pipeline "
    "inspection landmarks network serving shard_format sharding storage training video",
    "cli": "annotations decoder_pool evaluation inference input_pipeline inspection "
    "landmarks network serving shard_format sharding storage synthetic training video",
}
# The rooms whose processes must stay small, and start at once.
WITHOUT_TENSORFLOW = {"video", "annotations", "landmarks", "decoder_pool", "sharding"}
HEAVY = {"tensorflow", "keras", "cv2", "matplotlib"}


def imports(path):
    """Returns (module, at top) for every import of a file but those for type checkers.

    `from package import name` counts as `package.name`, if that is a module.
    """
    found = []

    def visit(node, at_top):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
                continue
            if isinstance(child, ast.Import):
                found.extend((alias.name, at_top) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{path}: a relative import"
                for alias in child.names:
                    whole = f"{child.module}.{alias.name}"
                    name = whole if whole in MODULES else child.module
                    found.append((name, at_top))
            is_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            visit(child, at_top and not is_function)

    visit(ast.parse(path.read_text()), True)
    return found


def module_name(path):
    return ".".join(path.relative_to(CHECKOUT).with_suffix("").parts)


def room_of(module):
    """Returns the room of a module; "" for the ground and the public names."""
    parts = module.removesuffix(".__init__").split(".")
    return parts[1] if len(parts) > 1 and (LIBRARY / parts[1]).is_dir() else ""


def library_imports(module):
    return {name for name, _ in imports(MODULES[module]) if name in MODULES} - {
        "wlasl_tfrecord"
    }


MODULES = {module_name(path): path for path in sorted(LIBRARY.rglob("*.py"))}
ROOMS = {path.name for path in LIBRARY.iterdir() if (path / "__init__.py").exists()}
# Those with code of their own.
FILES = [name for name in MODULES if not name.endswith("__init__")]


def test_every_folder_is_a_room_with_a_rule():
    assert MAY_IMPORT.keys() == ROOMS
    beside = {path.stem for path in LIBRARY.glob("*.py")} - {"__init__"}
    assert beside == GROUND


@pytest.mark.parametrize("module", FILES)
def test_a_module_imports_from_its_room_and_those_below(module):
    room = room_of(module)
    allowed = {"", room, *MAY_IMPORT.get(room, "").split()}
    assert {room_of(name) for name in library_imports(module)} <= allowed


def test_rooms_import_downwards_only():
    left = {room: set(MAY_IMPORT[room].split()) for room in MAY_IMPORT}
    while left:
        free = {room for room, below in left.items() if not below & left.keys()}
        assert free, f"a circle among {sorted(left)}"
        left = {room: below for room, below in left.items() if room not in free}


def test_no_module_imports_itself_by_a_detour():
    left = {module: library_imports(module) for module in FILES}
    while left:
        free = {module for module, needed in left.items() if not needed & left.keys()}
        assert free, f"a circle among {sorted(left)}"
        left = {module: n for module, n in left.items() if module not in free}


@pytest.mark.parametrize("room", sorted(WITHOUT_TENSORFLOW))
def test_the_write_side_never_imports_tensorflow(room):
    # `storage` does, inside a function, for what TensorFlow alone opens.
    needed, queue = set(), [name for name in FILES if room_of(name) == room]
    while queue:
        module = queue.pop()
        needed.add(module)
        queue += library_imports(module) - needed
    heavy = {
        module: name
        for module in needed
        for name, at_top in imports(MODULES[module])
        if at_top and name.split(".")[0] in ("tensorflow", "keras")
    }
    assert heavy == {}


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_entering_a_room_costs_nothing(room):
    # Its modules do what they need themselves: `import tensorflow` costs 3 s and half a
    # gigabyte, cv2 0.2 s.
    code = (
        f"import sys, wlasl_tfrecord.{room}; "
        f"sys.exit(' '.join({HEAVY!r} & sys.modules.keys()) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_lazy_names_agree():
    tree = ast.parse((LIBRARY / "__init__.py").read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    for_checkers = {
        alias.name: node.module
        for node in ast.walk(block)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert for_checkers == wlasl_tfrecord._LAZY
    assert sorted(for_checkers) == sorted(wlasl_tfrecord.__all__)
    assert set(wlasl_tfrecord.__all__) <= set(dir(wlasl_tfrecord))
    for name in wlasl_tfrecord.__all__:
        assert getattr(wlasl_tfrecord, name).__module__ == wlasl_tfrecord._LAZY[name]


def test_a_name_that_is_not_public_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'sharder'"):
        wlasl_tfrecord.sharder  # noqa: B018


def test_importing_the_library_imports_no_tensorflow():
    code = (
        "import sys, wlasl_tfrecord; wlasl_tfrecord.load_folder; "
        "sys.exit('tensorflow' in sys.modules or 'cv2' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT).returncode == 0


def test_every_module_lists_its_public_names():
    for path in LIBRARY.rglob("*.py"):
        tree = ast.parse(path.read_text())
        targets = [
            *(
                t
                for node in tree.body
                if isinstance(node, ast.Assign)
                for t in node.targets
            ),
            *(node.target for node in tree.body if isinstance(node, ast.AnnAssign)),
        ]
        names = [target.id for target in targets if isinstance(target, ast.Name)]
        assert "__all__" in names, f"{path} has no __all__"


def test_every_test_file_of_a_room_is_named_after_a_module():
    # Whole ways through several rooms are in tests/end_to_end/, and what is about the
    # project rather than the library in tests/project/.
    tests = CHECKOUT / "tests"
    named = {
        path: path.relative_to(tests).with_name(path.name.removeprefix("test_"))
        for path in tests.rglob("test_*.py")
        if path.parent.name in {*ROOMS, "ground"}
    }
    strays = {
        str(path.relative_to(tests))
        for path, module in named.items()
        if not (LIBRARY / str(module).removeprefix("ground/")).is_file()
    }
    assert strays == set()
    assert {path.name for path in tests.glob("test_*.py")} == {Path(__file__).name}


# A body of more lines is two functions.
MOST_LINES = 60


def body_lines(function):
    """Counts the lines of a function's body without its docstring."""
    has_docstring = ast.get_docstring(function) is not None
    body = function.body[1:] if has_docstring else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def test_no_function_is_longer_than_a_page_but_parsers():
    long = {
        f"{module}.{node.name}"
        for module, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and body_lines(node) > MOST_LINES
    }
    # One line an option: to read it is to read --help.
    parsers = ("parser", "main")
    others = {
        name
        for name in long
        if not name.startswith("wlasl_tfrecord.cli.") or not name.endswith(parsers)
    }
    assert others == set()
