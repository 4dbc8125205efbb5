"""What every command does alike; each command's own work is tested with its module."""

import argparse
import importlib
import os
import re
import subprocess
import sys

import pytest
from checkout import COMMANDS
from cli_programs import PROGRAM

from wlasl_tfrecord.cli import command
from wlasl_tfrecord.errors import WlaslError
from wlasl_tfrecord.network import model_info
from wlasl_tfrecord.shard_format.clips import ClipSpec


def run(body, argv=()):
    parser = command.make_parser("shard", "Shards.")
    parser.add_argument("--height", type=int, default=224)
    return command.run("shard", parser, body, argv)


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


def test_help_shows_defaults_that_are_values(capsys):
    parser = command.make_parser("shard", "Shards.")
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


def explained_options(name, monkeypatch, capsys):
    """Returns the options of a command with their explanations in --help."""
    monkeypatch.setenv("COLUMNS", "200")
    main = importlib.import_module(f"wlasl_tfrecord.cli.{name}").main
    with pytest.raises(SystemExit):
        main(["--help"])
    # An option that is long has its explanation on the next line, far to the right.
    text = re.sub(r"\n {12,}", "  ", capsys.readouterr().out)
    lines = re.findall(r"^  (--[a-z].*)$", text, re.MULTILINE)
    return {line.split()[0].rstrip(","): line.partition("  ")[2] for line in lines}


@pytest.mark.parametrize("name", COMMANDS)
def test_help_explains_every_option(name, monkeypatch, capsys):
    options = explained_options(name, monkeypatch, capsys)
    assert len(options) > 3
    assert [option for option, text in options.items() if not text] == []


AT_ONCE = (
    *((name, ["--help"], "") for name in COMMANDS),
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
        "--quantize is for --format tflite or web, got --format saved_model",
    ),
    ("export", ["--run", "h"], "no trained model in h: it has no model.keras; run"),
    ("export", ["--run", "r", "--out", "f/x"], "/f is not a folder; choose another"),
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
    (
        "train",
        ["--data", "s", "--model", "no.py"],
        "/no.py; known: landmarks_lstm, mobilenetv2_",
    ),
    ("train", ["--data", "s", "--out", "f"], "/f is not a folder; choose another"),
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
        f"for name, arguments, message in {AT_ONCE}:\n"
        "    main = importlib.import_module(f'wlasl_tfrecord.cli.{name}').main\n"
        "    with contextlib.suppress(SystemExit):\n"
        "        main(arguments)\n"
        "    for heavy in {'tensorflow', 'keras'} & sys.modules.keys():\n"
        "        sys.exit(f'{name} {arguments} imported {heavy}')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    for name, arguments, message in AT_ONCE:
        assert message in done.stderr, (name, arguments)


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
