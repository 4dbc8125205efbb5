"""What every command does alike; each command's own work is tested with its module."""

import argparse
import importlib
import os
import re
import signal
import subprocess
import sys

import pytest
from checkout import CHECKOUT

from wlasl_tfrecord import cli
from wlasl_tfrecord.errors import WlaslError
from wlasl_tfrecord.network import model_info
from wlasl_tfrecord.shard_format.clips import ClipSpec


def run(body, argv=()):
    parser = cli.make_parser("shard", "Shards.")
    parser.add_argument("--height", type=int, default=224)
    return cli.run("shard", parser, body, argv)


def test_a_command_gives_the_exit_code_of_its_body():
    seen = []

    def body(arguments: argparse.Namespace) -> int:
        seen.append(arguments.height)
        return 3

    assert run(body, ["--height", "64"]) == 3
    assert seen == [64]


def test_an_error_of_the_library_is_one_line_and_exit_code_1(capsys):
    def body(_):
        raise WlaslError("no videos in x/; give --src the folder that has them")

    assert run(body) == 1
    message = "wlasl-shard: no videos in x/; give --src the folder that has them\n"
    assert capsys.readouterr() == ("", message)


def test_an_argument_that_no_data_could_make_right_is_exit_code_2(capsys):
    def body(arguments):
        ClipSpec(height=arguments.height)
        return 0

    assert run(body, ["--height", "0"]) == 2
    assert capsys.readouterr().err == "wlasl-shard: height must be at least 1, got 0\n"


def test_a_defect_keeps_its_traceback():
    with pytest.raises(ValueError, match="invalid literal"):
        run(lambda _: int("x"))


def test_an_unknown_option_is_exit_code_2(capsys):
    with pytest.raises(SystemExit, match="2"):
        run(lambda _: 0, ["--heigth", "64"])
    assert "unrecognized arguments: --heigth" in capsys.readouterr().err


def test_ctrl_c_is_one_line_and_exit_code_130(capsys):
    def body(_):
        raise KeyboardInterrupt

    assert run(body) == 130
    assert capsys.readouterr().err == "\nwlasl-shard: stopped\n"


# As pip writes it.
INSTALLED = """
import sys
from wlasl_tfrecord.cli.shard import main
sys.exit(main())
"""


def run_hearing_ctrl_c(command, **variables):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
    clean["PYTHONPATH"] = os.pathsep.join(sys.path)
    # A shell's background job, such as these tests perhaps, passes on that it is deaf.
    deaf_or_not = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.run(
            command, env={**clean, **variables}, capture_output=True, text=True
        )
    finally:
        signal.signal(signal.SIGINT, deaf_or_not)


@pytest.mark.parametrize("moment", ["import", "start anew"])
@pytest.mark.parametrize("program", ["bin/shard", "wlasl-shard"])
def test_ctrl_c_is_one_line_before_a_command_has_begun(tmp_path, program, moment):
    # A module that is imported on the way presses it.
    press = "import os; os.kill(os.getpid(), 2)\n"
    if moment == "import":
        (tmp_path / "tqdm.py").write_text(press)
    else:
        (tmp_path / "sitecustomize.py").write_text(
            f"import os\nif 'MALLOC_TOP_PAD_' in os.environ: {press}"
        )
    path = CHECKOUT / program
    if program == "wlasl-shard":
        path = tmp_path / program
        path.write_text(INSTALLED)
    done = run_hearing_ctrl_c(
        [sys.executable, str(path), "--src", "x"],
        PYTHONPATH=os.pathsep.join([str(tmp_path), *sys.path]),
    )
    assert (done.returncode, done.stderr) == (130, f"\n{program}: stopped\n")


def test_a_second_ctrl_c_is_no_traceback(tmp_path):
    # It comes behind the first one's line, while Python tidies up at its end.
    ends = "import atexit, os; atexit.register(os.kill, os.getpid(), 2)\n"
    program = tmp_path / "program.py"
    program.write_text(
        ends + PROGRAM.replace("import os\n", "raise KeyboardInterrupt\n")
    )
    done = run_hearing_ctrl_c([sys.executable, str(program)])
    # As a shell sees it, this is 130 as well.
    assert (done.returncode, done.stderr) == (-2, "\nwlasl-shard: stopped\n")


def test_help_shows_defaults_that_are_values(capsys):
    parser = cli.make_parser("shard", "Shards.")
    parser.add_argument("--size", default="224", help="pixels")
    parser.add_argument("--seed", default=0, help="order")
    parser.add_argument("--option", default=[], help="more")
    parser.add_argument("--subset", default=None, help="glosses")
    parser.add_argument("--workers", default=None, help="processes (default: all)")
    parser.add_argument("--strict", action="store_true", help="exit with 1")
    text = " ".join(parser.format_help().split())
    assert "pixels (default: 224)" in text
    assert "order (default: 0)" in text
    assert "processes (default: all)" in text
    assert "[])" not in text
    assert "None" not in text
    assert "False" not in text


COMMANDS = (
    "bench",
    "demo",
    "evaluate",
    "export",
    "inspect",
    "predict",
    "shard",
    "train",
)


def explained_options(command, monkeypatch, capsys):
    """Gives the options of a command, each with what --help says of it."""
    monkeypatch.setenv("COLUMNS", "200")
    main = importlib.import_module(f"wlasl_tfrecord.cli.{command}").main
    with pytest.raises(SystemExit):
        main(["--help"])
    # An option that is long has its explanation on the next line, far to the right.
    text = re.sub(r"\n {12,}", "  ", capsys.readouterr().out)
    lines = re.findall(r"^  (--[a-z].*)$", text, re.MULTILINE)
    return {line.split()[0].rstrip(","): line.partition("  ")[2] for line in lines}


@pytest.mark.parametrize("command", COMMANDS)
def test_help_explains_every_option(command, monkeypatch, capsys):
    options = explained_options(command, monkeypatch, capsys)
    assert len(options) > 3
    assert [name for name, explanation in options.items() if not explanation] == []


AT_ONCE = (
    *((command, ["--help"], "") for command in COMMANDS),
    ("bench", ["input", "none"], "cannot read the shard folder none"),
    ("bench", ["input", "s", "--batch-size", "0"], "--batch-size must be above 0"),
    ("evaluate", ["--run", "none"], "no trained model in none"),
    ("evaluate", ["--run", "h"], "no trained model in h: it has no model.keras; run"),
    ("evaluate", ["--batch-size", "0"], "--batch-size must be at least 1, got 0"),
    ("evaluate", ["--max-bad-records", "-1"], "--max-bad-records must be at least 0"),
    ("evaluate", ["--run", "r", "--data", "none"], "cannot read the shard folder none"),
    ("evaluate", ["--run", "r", "--data", "s", "--split", "test"], "no 'test' shards"),
    ("export", ["--run", "none"], "no trained model in none"),
    (
        "export",
        ["--run", "r", "--quantize", "float16"],
        "--quantize is for --format tflite, got --format saved_model",
    ),
    ("export", ["--run", "h"], "no trained model in h: it has no model.keras; run"),
    ("export", ["--run", "r", "--out", "f/x"], "/f is no folder; choose another"),
    ("inspect", ["s", "--contact-sheet", "a.png", "--clips", "0"], "--clips must be"),
    ("inspect", ["none", "--verify"], "cannot read the shard folder none"),
    ("inspect", ["s", "--verify", "--contact-sheet", "none/a.png"], "there is no"),
    ("predict", ["a.mp4", "--run", "none"], "no trained model in none"),
    ("predict", ["a.mp4", "b.mp4", "--run", "r"], "b.mp4: unreadable: No such file"),
    ("predict", ["s", "--run", "r"], "no videos in s"),
    ("predict", ["a.mp4", "--run", "r", "--top", "0"], "top must be at least 1, got 0"),
    ("predict", ["a.mp4", "--run", "h"], "no trained model in h: it has no model.ke"),
    ("train", ["--data", "none"], "cannot read the shard folder none"),
    ("train", ["--data", "s", "--weights", "no.h5"], "no.h5; give --weights imagenet"),
    ("train", ["--data", "s", "--model", "no.py"], "/no.py; known: mobilenetv2_lstm"),
    ("train", ["--data", "s", "--out", "f"], "/f is no folder; choose another"),
)


def test_what_can_be_told_at_once_does_not_wait_for_tensorflow(tmp_path, write_folder):
    write_folder(tmp_path / "s")
    info = model_info.ModelInfo(glosses=("book",), clip=ClipSpec(), framing="center")
    for run in ("r", "h"):
        model_info.write_model_info(tmp_path / run, info)
    (tmp_path / "r" / "model.keras").touch()
    (tmp_path / "f").touch()
    code = (
        "import contextlib, importlib, sys\n"
        f"for command, arguments, message in {AT_ONCE}:\n"
        "    main = importlib.import_module(f'wlasl_tfrecord.cli.{command}').main\n"
        "    with contextlib.suppress(SystemExit):\n"
        "        main(arguments)\n"
        "    for heavy in {'tensorflow', 'keras'} & sys.modules.keys():\n"
        "        sys.exit(f'{command} {arguments} imported {heavy}')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    for command, arguments, message in AT_ONCE:
        assert message in done.stderr, (command, arguments)


def test_the_tests_that_are_named_as_examples_exist():
    named = [
        example
        for page in ("CONTRIBUTING.md", "bin/test")
        for example in re.findall(
            r"bin/test (tests/\w+\.py) -k (\w+)", (CHECKOUT / page).read_text("utf-8")
        )
    ]
    assert len(named) == 2
    for file, word in named:
        tests = (CHECKOUT / file).read_text(encoding="utf-8")
        assert re.search(rf"def test_\w*{word}", tests), word


PROGRAM = """
import sys
from wlasl_tfrecord import cli
def body(arguments):
    import os
    print(os.environ.get("MALLOC_TRIM_THRESHOLD_"), sys.argv[1:])
    return 0
parser = cli.make_parser("shard", "Shards.")
parser.add_argument("words", nargs="*")
sys.exit(cli.run("shard", parser, body))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the settings are glibc's")
@pytest.mark.parametrize(
    ("variables", "expected"),
    [({}, str(4 << 30)), ({"MALLOC_TRIM_THRESHOLD_": "1000000"}, "1000000")],
)
def test_a_command_keeps_freed_memory_unless_told_otherwise(
    tmp_path, variables, expected
):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    clean = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
    environment = {**clean, "PYTHONPATH": os.pathsep.join(sys.path), **variables}
    done = subprocess.run(
        [sys.executable, str(program), "two words", "b"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"{expected} ['two words', 'b']\n"


def test_tensorflow_starts_without_a_word():
    code = "from wlasl_tfrecord import cli; cli.import_tensorflow(); "
    use = (
        "import sys, tensorflow as tf; tf.constant(1) + 1; print('!', file=sys.stderr)"
    )
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("TF_", "CUDA_"))}
    environment = {**clean, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code + use],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == "!\n"


def test_a_tensorflow_that_fails_to_load_says_why(tmp_path):
    (tmp_path / "tensorflow.py").write_text(
        "import os; os.write(2, b'I0000 remark\\nno libcudart\\n')\n"
        "raise ImportError('x')"
    )
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path]),
    }
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from wlasl_tfrecord import cli; cli.import_tensorflow()",
        ],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("no libcudart\n")
    assert "ImportError: x" in done.stderr


def test_nobody_reading_the_output_is_no_traceback(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.replace("print(", "print('x' * 100_000, "))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, str(program)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.close()
    _, errors = process.communicate()
    assert (process.returncode, errors) == (141, b"")
