"""The wheel, the entry points and the launchers in `bin/`, each run for real."""

import configparser
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import zipfile

import pytest
from checkout import CHECKOUT, COMMANDS

from wlasl_tfrecord.network import model_file


@pytest.fixture(scope="module")
def checkout_copy(tmp_path_factory):
    """A copy of the checkout as a clone would have it, without .venv."""
    copy = tmp_path_factory.mktemp("clone") / "checkout"
    copy.mkdir()
    for name in ("bin", "docs", "models", "wlasl_tfrecord"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(CHECKOUT / name, copy / name, ignore=ignore)
    for name in ("LICENSE", "README.md", "pyproject.toml", "setup.cfg"):
        shutil.copy(CHECKOUT / name, copy)
    return copy


@pytest.fixture(scope="module")
def wheel(checkout_copy, tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    # Without isolation: tests have no network.
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    options = ["--no-build-isolation", "--no-index", "--wheel-dir", str(folder)]
    subprocess.run([*pip, *options, str(checkout_copy)], check=True)
    (path,) = folder.glob("wlasl_tfrecord-*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The wheel unpacked as pip would, away from the checkout."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def run_installed(installed, folder, code):
    """Runs code with the installed library, away from the checkout."""
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )


def test_a_wheel_carries_the_recipes_inside_the_library(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert "wlasl_tfrecord/models/mobilenetv2_lstm.py" in names
    assert "wlasl_tfrecord/py.typed" in names
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"wlasl_tfrecord"}


def test_every_command_is_an_entry_point_and_a_launcher(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith("entry_points.txt"))
        config = configparser.ConfigParser()
        config.read_string(archive.read(name).decode())
    assert dict(config["console_scripts"]) == {
        f"wlasl-{command}": f"wlasl_tfrecord.cli.{command}:main" for command in COMMANDS
    }


@pytest.mark.parametrize("command", COMMANDS)
def test_an_installed_command_explains_itself_at_once(installed, tmp_path, command):
    # No time is asserted, but what would cost it: TensorFlow alone takes 3 s.
    code = (
        f"import sys; from wlasl_tfrecord.cli.{command} import main\n"
        "try: main(['--help'])\n"
        "except SystemExit as end: assert not end.code\n"
        "heavy = {'tensorflow', 'keras', 'cv2', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = run_installed(installed, tmp_path, code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: wlasl-" + command)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_launcher_uses_the_active_environment_if_it_has_all(checkout_copy, command):
    launcher = checkout_copy / "bin" / command
    done = subprocess.run(
        [sys.executable, str(launcher), "--help"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: bin/{command}")
    assert not (checkout_copy / ".venv").exists()


def test_recipes_are_found_in_a_wheel(installed, tmp_path):
    code = (
        "from wlasl_tfrecord.network import recipes; print(recipes.__file__); "
        "print(recipes.load_recipe('mobilenetv2_lstm').path)"
    )
    done = run_installed(installed, tmp_path, code)
    assert done.returncode == 0, done.stderr
    module, recipe = done.stdout.splitlines()
    assert module == str(installed / "wlasl_tfrecord" / "network" / "recipes.py")
    assert recipe == str(installed / "wlasl_tfrecord/models/mobilenetv2_lstm.py")


@pytest.fixture
def environment_module(monkeypatch):
    """The module that the launchers start with."""
    path = CHECKOUT / "bin" / "_environment.py"
    spec = importlib.util.spec_from_file_location("_environment", path)
    module = importlib.util.module_from_spec(spec)
    # It handles Ctrl-C as a launcher does.
    before, path = signal.getsignal(signal.SIGINT), sys.path.copy()
    spec.loader.exec_module(module)
    signal.signal(signal.SIGINT, before)
    sys.path[:] = path
    return module


@pytest.mark.parametrize(
    ("requirement", "is_met"),
    [
        ("numpy", True),
        ("numpy >= 1.0", True),
        ("numpy >= 99.1", False),
        ("numpy == 1.0", False),
        ("tensorflow >= 2.16", True),
        ("tensorflow >= 2.16, < 2.17.0", False),
        ("tensorflow != 2.*", False),
        ("numpy >= 1, != 1.0, != 0.*", True),
        ("opencv-python-headless", True),
        ("no-such-package-at-all", False),
    ],
)
def test_a_requirement_is_looked_up_with_its_version(
    environment_module, requirement, is_met
):
    assert environment_module._is_met(requirement) == is_met


@pytest.mark.parametrize(
    ("version", "is_met"),
    [
        ("3.11.3", False),
        ("3.12.1", False),
        ("3.12.2", True),
        ("3.13.2", False),
        ("3.14.0", False),
        ("3.14.1", True),
        ("3.15.0rc1", True),
        ("4.0", True),
    ],
)
def test_setup_cfg_asks_for_a_keras_without_known_holes(
    environment_module, monkeypatch, version, is_met
):
    (wanted,) = (
        line for line in environment_module._requirements() if line.startswith("keras")
    )
    monkeypatch.setattr("importlib.metadata.version", lambda _: version)
    assert environment_module._is_met(wanted) == is_met
    # Without the launchers, the commands themselves refuse the others.
    assert model_file.is_safe_keras(version) == is_met


def test_a_requirement_may_count_from_a_python_on(environment_module, monkeypatch):
    monkeypatch.setattr("importlib.metadata.version", lambda _: "17.1.0")
    requirement = 'av >= 18; python_version >= "3.11"'
    for version, is_met in (((3, 10, 4), True), ((3, 11, 0), False)):
        monkeypatch.setattr("sys.version_info", version)
        assert environment_module._is_met(requirement) is is_met


def test_what_setup_cfg_says_wrongly_is_one_line(environment_module):
    with pytest.raises(SystemExit, match="cannot read the requirement 'numpy ~= 2'"):
        environment_module._is_met("numpy ~= 2")


def test_the_set_up_runs_nothing_of_the_current_folder(checkout_copy, tmp_path):
    clone = tmp_path / "clone"
    shutil.copytree(checkout_copy, clone)
    config = (clone / "setup.cfg").read_text()
    (clone / "setup.cfg").write_text(
        config.replace("    tqdm\n", "    no-such-package-at-all == 1\n")
    )
    videos = tmp_path / "videos"
    videos.mkdir()
    for module in ("venv", "pip", "ensurepip", "subprocess", "encodings", "argparse"):
        (videos / f"{module}.py").write_text(f"open('{tmp_path}/{module}', 'w')")
    done = subprocess.run(
        [sys.executable, str(clone / "bin" / "shard"), "--help"],
        cwd=videos,
        env={**os.environ, "PIP_NO_INDEX": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "does not have no-such-package-at-all == 1" in done.stderr
    assert f"bin/shard: setting up {clone}/.venv once" in done.stderr
    assert "the set-up failed at `-m pip install`; see above" in done.stderr
    assert (clone / ".venv" / "bin" / "python").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clone", "videos"]


def test_every_requirement_of_setup_cfg_is_understood(environment_module):
    wanted = environment_module._requirements("test")
    assert any(line.startswith("tensorflow") for line in wanted)
    for line in wanted:
        assert environment_module._is_met(line), line


@pytest.mark.parametrize("module", ["pip", "venv"])
def test_the_set_up_runs_no_module_of_the_current_folder(tmp_path, module):
    (tmp_path / f"{module}.py").write_text("open('was-run', 'w')")
    code = (
        f"import sys; sys.path[:0] = [{str(CHECKOUT / 'bin')!r}]; import _environment; "
        f"_environment._run_isolated(sys.executable, {module!r}, '--help')"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "usage" in done.stdout.lower()
    assert not (tmp_path / "was-run").exists()
