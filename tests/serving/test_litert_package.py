import subprocess

import pytest

from wlasl_tfrecord.errors import OutputError
from wlasl_tfrecord.serving import litert_package


def test_an_archive_that_is_not_the_pinned_release_is_refused(tmp_path):
    archive = tmp_path / f"litertjs-core-{litert_package.LITERT_VERSION}.tgz"
    archive.write_bytes(b"another release")
    with pytest.raises(OutputError, match="is not the release that was tested"):
        litert_package.write_litert(tmp_path / "litert", tmp_path)
    assert not (tmp_path / "litert").exists()


def test_a_missing_archive_is_one_line_with_the_way_out(tmp_path):
    with pytest.raises(OutputError, match=r"core-.*tgz \(No such file.*npm pack @lit"):
        litert_package.write_litert(tmp_path / "litert", tmp_path)


@pytest.mark.parametrize("has_npm", [True, False])
def test_without_a_network_the_way_out_is_told(tmp_path, monkeypatch, has_npm):
    # A registry that nobody answers for, with npm and without it.
    monkeypatch.setattr(litert_package, "_REGISTRY", "http://127.0.0.1:9")
    monkeypatch.setattr(
        litert_package.shutil, "which", lambda _: "npm" if has_npm else None
    )
    npm = tmp_path / "bin" / "npm"
    npm.parent.mkdir()
    npm.write_text("#!/bin/sh\nexit 1\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{npm.parent}:/usr/bin:/bin")
    assert subprocess.run(["npm"]).returncode == 1
    with pytest.raises(OutputError, match=r"cannot download @litertjs/core.*--litert"):
        litert_package.write_litert(tmp_path / "litert")
