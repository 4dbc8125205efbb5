"""LiteRT.js, which runs TFLite files in a browser: `@litertjs/core` from npm.

Its releases are pinned by the hashes that the registry publishes, so what a page loads
is what was tested here, whoever delivers it.
"""

import base64
import hashlib
import io
import os
import subprocess
import tarfile
import tempfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from wlasl_tfrecord.errors import OutputError
from wlasl_tfrecord.files import read_bytes

__all__ = ["LITERT_VERSION", "write_litert"]

LITERT_VERSION = "2.5.3"


@dataclass(frozen=True, kw_only=True)
class _Package:
    """A release on npm.

    Attributes:
        name: Its name in the scope `@litertjs`.
        sha512: Hash of the archive, in base64, as in npm's lock files.
        files: Where each file of the archive that a page needs goes.
    """

    name: str
    sha512: str
    files: dict[str, str]

    @property
    def archive(self) -> str:
        """The name that `npm pack` gives the archive."""
        return f"litertjs-{self.name}-{LITERT_VERSION}.tgz"


# Of the runtime there are four builds. Threads need headers that few static hosts
# send, and the third serves GPUs and NPUs.
_PACKAGES = (
    _Package(
        name="core",
        sha512="PlGmbMOq9WitX7FO0jhbdJw9GthatsyuCQXjTt/wJZo0FLaw48q4tz8IwqgqCIkviYGr9OFD"
        "L1kCnN4nzWoyJQ==",
        files={
            "dist/index.js": "index.js",
            "README.md": "README.md",
            **{
                f"wasm/litert_wasm{build}_internal.{suffix}": (
                    f"wasm/litert_wasm{build}_internal.{suffix}"
                )
                for build in ("", "_compat")
                for suffix in ("js", "wasm")
            },
        },
    ),
    _Package(
        name="wasm-utils",
        sha512="4fJiw6tBQnIs+0jH/OQ16nYOiSl8/+zZnn5h2ul8aTKHi05sVqZW580Tmk78pC2kT39A9OYB"
        "VdFawteZ/sI1kQ==",
        files={"dist/index.js": "wasm-utils.js"},
    ),
)
_REGISTRY = "https://registry.npmjs.org"
_DOWNLOAD_SECONDS = 120


def write_litert(folder: Path, archives: str | os.PathLike[str] | None = None) -> None:
    """Writes the files of LiteRT.js that a page needs.

    Args:
        folder: The folder to make.
        archives: Folder with the two archives as `npm pack` names them; by default
            they are downloaded, by npm if it is installed, which knows the user's
            registry and proxy, else or if it fails from npm's registry.

    Raises:
        OutputError: If an archive cannot be had, or is not the pinned one.
    """
    for package in _PACKAGES:
        content = _read(package, Path(archives)) if archives else _download(package)
        found = base64.b64encode(hashlib.sha512(content).digest()).decode()
        if found != package.sha512:
            raise OutputError(
                f"{package.archive} is not the release that was tested: its hash is "
                f"sha512-{found}, expected sha512-{package.sha512}"
            )
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            for member, name in package.files.items():
                file = archive.extractfile(f"package/{member}")
                assert file is not None  # the hash says what is in it
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(_with_local_imports(file.read(), name))


def _with_local_imports(content: bytes, name: str) -> bytes:
    """Lets a module find the other one beside it: a browser knows no npm names."""
    if name != "index.js":
        return content
    return content.replace(b'"@litertjs/wasm-utils"', b'"./wasm-utils.js"')


def _read(package: _Package, archives: Path) -> bytes:
    try:
        return read_bytes(str(archives / package.archive))
    except OSError as error:
        raise OutputError(
            f"cannot read {archives / package.archive} ({error.strerror}); get it by "
            f"npm pack @litertjs/{package.name}@{LITERT_VERSION}"
        ) from error


def _download(package: _Package) -> bytes:
    """Returns an archive, from the user's registry or from npm's own."""
    name = f"@litertjs/{package.name}@{LITERT_VERSION}"
    try:
        return _download_by_npm(package, name)
    except (OSError, subprocess.SubprocessError) as by_npm:
        try:
            return _download_directly(package)
        except OSError as error:
            raise OutputError(
                f"cannot download {name} ({by_npm}; {error}); on a machine with a "
                f"network run npm pack {' '.join(_names())}, and name the folder with "
                "--litert"
            ) from error


def _download_by_npm(package: _Package, name: str) -> bytes:
    """Lets npm download an archive, which knows the user's registry and proxy."""
    # One more try, ten seconds later; by default it takes a minute to give up.
    command = ["npm", "pack", "--loglevel=error", "--fetch-retries=1", name]
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run(
                command,
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=_DOWNLOAD_SECONDS,
            )
        except FileNotFoundError as error:
            raise OSError("npm is not installed") from error
        if done.returncode:
            raise OSError(f"npm: {_npm_reason(done.stderr)}")
        return (Path(folder) / package.archive).read_bytes()


def _npm_reason(text: str) -> str:
    """Picks the sentence from what npm prints of an error."""
    lines = [line.removeprefix("npm error ") for line in text.splitlines()]
    codes = ("code ", "syscall ", "errno ", "path ")
    sentences = [line for line in lines if not line.startswith(codes)]
    return next(iter(sentences or lines), "it failed and printed nothing")


def _download_directly(package: _Package) -> bytes:
    path = f"@litertjs/{package.name}/-/{package.name}-{LITERT_VERSION}.tgz"
    url = f"{_REGISTRY}/{path}"
    with urllib.request.urlopen(url, timeout=_DOWNLOAD_SECONDS) as response:
        return response.read()


def _names() -> list[str]:
    return [f"@litertjs/{package.name}@{LITERT_VERSION}" for package in _PACKAGES]
