"""The Python examples of the pages, and how they are run as they are printed."""

import ast
import contextlib
import io
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from checkout import CHECKOUT

PAGES = (
    "README.md",
    "docs/input_fn.md",
    "docs/shard-format.md",
    "docs/other-frameworks.md",
)
# A block of code is taken whole: a comment in it looks like a heading.
_BLOCK_OR_HEADING = re.compile(
    r"^```(\w*)\n(.*?)^```$|^#+ ([^\n]+)$", re.DOTALL | re.MULTILINE
)


@dataclass(frozen=True, kw_only=True)
class Example:
    """One block of Python.

    Attributes:
        page: The page, from the checkout on.
        heading: What it stands under, without marks of code.
        code: The program.
    """

    page: str
    heading: str
    code: str

    @property
    def packages(self) -> set[str]:
        """The packages that it imports, those of Python itself aside."""
        names = set()
        for node in ast.walk(ast.parse(self.code)):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names.add((node.module or "").split(".")[0])
        return names - sys.stdlib_module_names

    @property
    def uses_tensorflow(self) -> bool:
        """Whether it runs in the process of the tests, which has TensorFlow."""
        return bool(self.packages & {"tensorflow", "tensorflow_datasets", "keras"}) or (
            "input_fn" in self.code
        )

    @property
    def missing(self) -> set[str]:
        """The packages that this environment does not have."""
        return {name for name in self.packages if find_spec(name) is None}


def examples() -> list[Example]:
    """Returns all examples, in the order of the pages."""
    found = []
    for page in PAGES:
        text = (CHECKOUT / page).read_text(encoding="utf-8")
        heading = ""
        for language, code, title in _BLOCK_OR_HEADING.findall(text):
            heading = title.replace("`", "") or heading
            if language == "python":
                found.append(Example(page=page, heading=heading, code=code))
    return found


def example(
    heading: str, page: str = "docs/input_fn.md", containing: str = ""
) -> Example:
    """Returns the only example under a heading that contains a text."""
    (found,) = (
        one
        for one in examples()
        if (one.page, one.heading) == (page, heading) and containing in one.code
    )
    return found


def run_here(example: Example, directory: Path) -> tuple[dict[str, Any], str]:
    """Runs an example in this process and in a directory that holds `shards/`.

    Returns:
        Its names and what it printed.
    """
    # In a file, where AutoGraph finds the source of functions.
    path = directory / "example.py"
    path.write_text(example.code)
    names: dict[str, Any] = {"__name__": "__main__"}
    before = os.getcwd()
    printed = io.StringIO()
    os.chdir(directory)
    try:
        with contextlib.redirect_stdout(printed):
            exec(compile(example.code, path, "exec"), names)
    finally:
        os.chdir(before)
    return names, printed.getvalue()


def run_alone(
    code: str, directory: Path, python: str = sys.executable, *arguments: str
) -> str:
    """Runs a program in a process of its own, and returns what it printed.

    One that does not name TensorFlow must not import it.
    """
    if "tensorflow" not in code:
        code += "\nimport sys; assert 'tensorflow' not in sys.modules\n"
    done = subprocess.run(
        [python, "-c", code, *arguments],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout
