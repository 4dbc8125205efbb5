from importlib import resources

import pytest

from wlasl_tfrecord.errors import OutputError
from wlasl_tfrecord.inference import export
from wlasl_tfrecord.inference.trained_model import load_model
from wlasl_tfrecord.serving import web_export

STATIC = resources.files("wlasl_tfrecord.serving").joinpath("static")


@pytest.fixture(scope="module")
def page():
    return web_export._local_page(STATIC.joinpath("page.html").read_text())


def test_the_page_has_a_strict_policy_before_any_script(page):
    policy = page.index("Content-Security-Policy")
    assert policy < page.index("<script")
    assert "default-src 'none'" in page
    assert "unsafe-inline" not in page
    assert "'unsafe-eval'" not in page


def test_the_model_is_there_before_the_page_asks_it(page):
    assert page.index('src="local.js"') < page.index('src="page.js"')


def test_the_page_speaks_of_no_server(page):
    text = page.replace("This server answers only with its token", "")
    assert "server" not in text.lower().replace("<!-- server -->", "<!-- server -->")
    assert "openapi" not in page
    assert "Nothing leaves this device." in page


def test_the_servers_page_is_unchanged_by_what_marks_it():
    page = STATIC.joinpath("page.html").read_text()
    assert page.count("<!-- server -->") == page.count("<!-- /server -->") == 3
    assert "local.js" not in page


def test_without_litert_nothing_is_written(trained_run, tmp_path):
    model = load_model(trained_run)
    with pytest.raises(OutputError, match="npm pack"):
        web_export.export_web(model, tmp_path / "out", litert=tmp_path)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_folder_of_somebody_else_is_not_replaced(trained_run, tmp_path):
    # Many a site has a folder of this name.
    theirs = tmp_path / "web" / "index.html"
    theirs.parent.mkdir()
    theirs.write_text("kept")
    model = load_model(trained_run)
    with pytest.raises(OutputError, match="web is no earlier export; move it away"):
        web_export.export_web(model, tmp_path)
    (tmp_path / "saved_model").symlink_to(theirs.parent)
    with pytest.raises(OutputError, match="saved_model is no earlier export; move"):
        export.export_model(model, tmp_path, "saved_model")
    assert theirs.read_text() == "kept"
