"""Who may import whom, read from the source by `ast`."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import wlasl_tfrecord

CHECKOUT = Path(__file__).resolve().parents[1]
LIBRARY = CHECKOUT / "wlasl_tfrecord"

# Every module stands in one group. A group imports from itself and from those named
# behind it: the two sides, writing and reading, meet in the format alone.
GROUPS = {
    "format": "errors storage clips record_table index locks protos example_protos "
    "tfrecords examples",
    "manifest": "annotation_files class_folders class_list instances manifest "
    "nslt_json splits stray_videos video_csv video_files wlasl_json",
    "decoding": "captures contents decode decoder_process edit_lists framing "
    "remarks slots",
    "sharding": "awake_clock decoder_handle decoder_jobs decoder_program decoders "
    "digests finished_shards folder_files folder_plan gaps outcomes output_folders "
    "plan report shard_files shard_writer shards work_folder",
    "drawing": "canvas figure poses signers synthetic synthetic_video",
    "reading": "augment dataset elements input_limit memory order reader records "
    "throughput windows",
    "inspection": "contact_sheet damage folder_check inspection record_check",
    "training": "blocks checkpoints epochs evaluation feature_files features history "
    "loop parts phases progress recipes rematerialisation replica_seeds run_config "
    "runs saving schedules scores steps stop_signals strategies train_config "
    "train_report training workers",
    "serving": "export prediction serving",
    "demonstration": "hand_backbone",
}
MAY_IMPORT = {
    "format": "",
    "manifest": "format",
    "decoding": "format manifest",
    "sharding": "format manifest decoding",
    "drawing": "format",
    "reading": "format",
    "inspection": "format reading",
    "training": "format reading",
    # From a video file to its gloss: the one place where both sides are wanted.
    "serving": "format decoding manifest training",
    # A backbone for the demo: reads shards of drawn videos, and knows the drawing.
    "demonstration": "format drawing reading training",
}
# What costs seconds or hundreds of megabytes to import, and the modules that do so when
# they are imported themselves. The others do it in the function that needs it.
HEAVY = {
    "cv2": "canvas captures decode decoder_process figure framing input_limit "
    "synthetic_video",
    "keras": "blocks epochs export features hand_backbone loop phases "
    "rematerialisation replica_seeds saving scores serving steps training",
    "matplotlib": "contact_sheet",
    "tensorflow": "augment contact_sheet dataset elements epochs evaluation examples "
    "export features folder_check input_limit loop order parts phases reader "
    "record_check records rematerialisation replica_seeds scores steps strategies "
    "throughput training windows workers",
}


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


def group_of(name):
    (group,) = (g for g, modules in GROUPS.items() if name in modules.split())
    return group


MODULES = sorted(path.stem for path in LIBRARY.glob("*.py") if path.stem != "__init__")


def test_every_module_stands_in_one_group():
    listed = [module for modules in GROUPS.values() for module in modules.split()]
    assert sorted(listed) == MODULES


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_from_its_group_and_those_below(name):
    group = group_of(name)
    allowed = {group, *MAY_IMPORT[group].split()}
    assert {group_of(module) for module in library_imports(name)} <= allowed


@pytest.mark.parametrize("package", HEAVY)
def test_a_heavy_package_is_imported_only_where_it_is_needed(package):
    importers = {
        name
        for name in MODULES
        for imported, at_top in imports(LIBRARY / f"{name}.py")
        if at_top and imported.split(".")[0] == package
    }
    assert importers == set(HEAVY[package].split())


@pytest.mark.parametrize("command", ["decoder_process", "shards"])
def test_sharding_never_imports_tensorflow(command):
    needed, queue = set(), [command]
    while queue:
        name = queue.pop()
        needed.add(name)
        queue += library_imports(name) - needed
    assert not needed & set(HEAVY["tensorflow"].split())
    assert not needed & set(HEAVY["keras"].split())


def test_no_module_imports_itself_by_a_detour():
    left = {name: library_imports(name) for name in MODULES}
    while left:
        free = {name for name, needed in left.items() if not needed & left.keys()}
        assert free, f"a circle among {sorted(left)}"
        left = {name: needed for name, needed in left.items() if name not in free}


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


def test_every_public_name_is_in_the_documentation():
    page = (CHECKOUT / "docs" / "api.md").read_text()
    for name in wlasl_tfrecord.__all__:
        assert f"`{name}" in page, name


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
