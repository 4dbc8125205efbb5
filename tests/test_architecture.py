"""Who may import whom, read from the source by `ast`."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import wlasl_tfrecord

CHECKOUT = Path(__file__).resolve().parents[1]
LIBRARY = CHECKOUT / "wlasl_tfrecord"

# Module -> what it may import of the library; `cli` may import everything. Both sides,
# writing and reading, meet in clips, examples and index alone.
FORMAT = {"errors", "clips", "index", "examples"}
MAY_IMPORT = {
    "errors": set(),
    "clips": {"errors"},
    "index": {"errors", "clips"},
    "examples": {"errors", "clips", "index"},
}
WRITE_SIDE = {"manifest", "decode", "shards", "synthetic"}
READ_SIDE = {"augment", "dataset", "recipes", "training", "evaluation"}


def imports(path):
    """Gives (name, at top) of every import of a file but those for type checkers."""
    found = []

    def visit(node, at_top):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
                continue
            if isinstance(child, ast.Import):
                found.extend((alias.name, at_top) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{path}: a relative import"
                found.append((child.module, at_top))
                found.extend((f"{child.module}.{a.name}", at_top) for a in child.names)
            is_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            visit(child, at_top and not is_function)

    visit(ast.parse(path.read_text()), True)
    return found


def library_imports(name):
    """Gives the modules of the library that a module of it imports."""
    second = {
        imported.split(".")[1]
        for imported, _ in imports(LIBRARY / f"{name}.py")
        if imported.startswith("wlasl_tfrecord.")
    }
    return {module for module in second if (LIBRARY / f"{module}.py").exists()}


@pytest.mark.parametrize("name", MAY_IMPORT)
def test_a_module_imports_only_downwards(name):
    assert library_imports(name) <= MAY_IMPORT[name]


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
        names = [
            target.id
            for node in tree.body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        ]
        assert "__all__" in names, f"{path} has no __all__"
