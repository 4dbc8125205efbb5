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


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        # What npm 10 prints without a network.
        (
            "echo 'npm error code ENOTFOUND\nnpm error syscall getaddrinfo\n"
            "npm error network request to x failed, reason: y\nnpm error help' >&2",
            "npm: network request to x failed, reason: y; ",
        ),
        ("", "npm: it failed and printed nothing; "),
        (None, "npm is not installed; "),
    ],
)
def test_without_a_network_the_way_out_is_told(tmp_path, monkeypatch, script, reason):
    # A registry that nobody answers for.
    monkeypatch.setattr(litert_package, "_REGISTRY", "http://127.0.0.1:9")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    if script is not None:
        npm = tmp_path / "bin" / "npm"
        npm.parent.mkdir()
        npm.write_text(f"#!/bin/sh\n{script}\nexit 1\n")
        npm.chmod(0o755)
    message = rf"cannot download @litertjs/core.*\({reason}.*refused.*\).*--litert"
    with pytest.raises(OutputError, match=message):
        litert_package.write_litert(tmp_path / "litert")


def test_what_npm_packed_is_the_archive(tmp_path, monkeypatch):
    monkeypatch.setattr(litert_package, "_REGISTRY", "http://127.0.0.1:9")
    npm = tmp_path / "npm"
    name = f"litertjs-core-{litert_package.LITERT_VERSION}.tgz"
    npm.write_text(f"#!/bin/sh\necho mine > {name}\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    # Whoever delivers it, it has to be the release that was tested.
    with pytest.raises(OutputError, match=f"{name} is not the release that was tested"):
        litert_package.write_litert(tmp_path / "litert")
