"""The commands that README and docs show are ones that the programs take."""

import argparse
import importlib
import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
# In a block of code, or between backticks; up to a comment, an ellipsis or a pipe.
SHOWN = re.compile(r"(?:^(?: {4})?(?:\$ )?|`)bin/(\w+[^`#|&>…\n]*)", re.MULTILINE)


def shown_commands():
    texts = [page.read_text(encoding="utf-8") for page in PAGES]
    found = [SHOWN.findall(text.replace("\\\n", " ")) for text in texts]
    commands = {" ".join(command.split()) for every in found for command in every}
    # Its arguments are pytest's.
    return sorted(command for command in commands if not command.startswith("test"))


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


def test_an_option_that_a_page_names_is_one_of_some_command():
    names = [path.stem for path in (ROOT / "wlasl_tfrecord/cli").glob("[a-z]*.py")]
    parsers = [parser_of(name) for name in names]
    known = {option for parser in parsers for option in parser._option_string_actions}
    for page in PAGES:
        # Blocks of code may show other programs.
        text = re.sub(
            r"^(```.*?^```| {4}.*?$)", "", page.read_text(), flags=re.M | re.S
        )
        quoted = " ".join(re.findall(r"`(--[^`]*)`", text))
        named = set(re.findall(r"--[a-z0-9-]+", quoted))
        assert named <= known, page.name
