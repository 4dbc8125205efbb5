"""Processes that this one starts, and what they inherit of it."""

import os

__all__ = ["clean_library_path"]


def clean_library_path() -> None:
    """Takes the current folder from the places where new processes look for libraries.

    OpenCV's package adds to LD_LIBRARY_PATH when it is imported, and leaves an empty
    part in it, which means the current folder: a `libz.so.1` that lies among somebody's
    videos would be loaded, and run. To be called before a process is started.
    """
    kept = filter(None, os.environ.get("LD_LIBRARY_PATH", "").split(":"))
    path = ":".join(kept)
    if path:
        os.environ["LD_LIBRARY_PATH"] = path
    else:
        os.environ.pop("LD_LIBRARY_PATH", None)
