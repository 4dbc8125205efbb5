"""The commands that README and docs show are ones that the programs take."""

import argparse
import importlib
import re
import shlex

import pytest
from checkout import CHECKOUT, COMMANDS

PAGES = [CHECKOUT / "README.md", *(CHECKOUT / "docs").rglob("*.md")]
# In a block of code, or between backticks; up to a comment, an ellipsis or a pipe.
SHOWN = re.compile(r"(?:^(?: {4})?(?:\$ )?|`)bin/(\w+[^`#|&>…\n]*)", re.MULTILINE)


def shown_commands():
    texts = [page.read_text(encoding="utf-8") for page in PAGES]
    found = [SHOWN.findall(text.replace("\\\n", " ")) for text in texts]
    commands = {" ".join(command.split()) for every in found for command in every}
    # The arguments of bin/test are pytest's; bin/_environment.py is no command.
    return sorted(one for one in commands if not one.startswith(("test", "_")))


class ParserFoundError(Exception):
    pass


def found(parser, *arguments):
    raise ParserFoundError(parser)


def parser_of(name):
    main = importlib.import_module(f"wlasl_tfrecord.cli.{name}").main
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "parse_args", found)
        with pytest.raises(ParserFoundError) as caught:
            main([])
    return caught.value.args[0]


@pytest.mark.parametrize("command", shown_commands())
def test_a_command_of_the_docs_is_taken(command):
    name, *arguments = shlex.split(command)
    parser = parser_of(name)
    for action in parser._actions:
        # Sentences leave out what the commands before them had.
        action.required = False
    parser.parse_args(arguments)


def options_of(name):
    """Returns the options in --help of a command, a switch by its first form."""
    actions = parser_of(name)._actions
    shown = [action for action in actions if action.help != argparse.SUPPRESS]
    return {action.option_strings[0] for action in shown if action.option_strings}


def test_the_pages_have_every_option_and_no_other():
    options = set().union(*map(options_of, COMMANDS)) - {"-h"}
    benchmarks = "\n".join(
        path.read_text(encoding="utf-8")
        for path in (CHECKOUT / "benchmarks").glob("*.py")
    )
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    named = {
        "--" + name.removeprefix("no-")
        for name in re.findall(r"(?<![\w-])--([a-z][a-z0-9-]+)", text)
    }
    # absl has --helpfull in every command.
    assert options - named == {"--helpfull"}
    # -h by its other name; of TensorBoard, bin/test and benchmarks/, which the pages
    # show too.
    programs = benchmarks + (CHECKOUT / "bin" / "test").read_text(encoding="utf-8")
    others = {"--requeue", "--flink", "--direct", "--dask"}  # Slurm's and Beam's
    others |= {"--help", "--logdir", *re.findall(r'"(--[a-z][a-z0-9-]+)"', programs)}
    assert named - options <= others


def test_the_tests_that_are_named_as_examples_exist():
    texts = [
        (CHECKOUT / page).read_text("utf-8") for page in ("CONTRIBUTING.md", "bin/test")
    ]
    example = re.compile(r"bin/test (tests/[\w/]+\.py) -k (\w+)")
    named = [found for text in texts for found in example.findall(text)]
    assert len(named) == 2
    for file, word in named:
        tests = (CHECKOUT / file).read_text(encoding="utf-8")
        assert re.search(rf"def test_\w*{word}", tests), word
