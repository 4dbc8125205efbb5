"""The pages of docs/decisions are numbered, listed and cited rightly."""

import re

from checkout import CHECKOUT

FOLDER = CHECKOUT / "docs" / "decisions"
PAGES = sorted(path for path in FOLDER.glob("*.md") if path.name != "README.md")
CITED = re.compile(r"\bdecisions?/(\d+[\w-]*\.md)|\bdecisions? \(?(\d{4})\b")


def test_decisions_are_numbered_from_one_without_a_gap():
    numbers = [int(page.name[:4]) for page in PAGES]
    assert numbers == list(range(1, len(PAGES) + 1))


def test_the_index_has_every_decision_by_its_title():
    index = (FOLDER / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| \[(.+?)\]\((.+?)\) \| \S", index, re.MULTILINE)
    titles = [page.read_text(encoding="utf-8").partition("\n")[0] for page in PAGES]
    assert listed == [
        (title.removeprefix("# "), page.name)
        for title, page in zip(titles, PAGES, strict=True)
    ]
    for page, title in zip(PAGES, titles, strict=True):
        assert title.startswith(f"# {page.name[:4]}: ")


def test_a_decision_that_is_cited_exists():
    files = [
        *CHECKOUT.glob("*.md"),
        *(
            path
            for folder in ("docs", "wlasl_tfrecord", "models", "bin", "benchmarks")
            for path in (CHECKOUT / folder).rglob("*")
            if path.suffix in ("", ".md", ".py") and path.is_file()
        ),
    ]
    cited = {
        (path.name, page or number)
        for path in files
        for page, number in CITED.findall(path.read_text(encoding="utf-8"))
    }
    # Three in the code and one in docs/performance.md were there when this was written.
    assert len(cited) >= 3
    names = {page.name for page in PAGES} | {page.name[:4] for page in PAGES}
    assert {(file, name) for file, name in cited if name not in names} == set()
