"""What processes that are started from here on inherit."""

import os
import sys

__all__ = ["keep_library_path"]


def keep_library_path() -> None:
    """Keeps the current folder out of where new processes look for libraries.

    OpenCV's package adds to LD_LIBRARY_PATH when it is imported. Where the variable was
    empty, it leaves an empty part in it, which means the current folder: a `libz.so.1`
    that lies among somebody's videos would be loaded by the decoders, by git, by
    whatever a library starts, and run. So the package calls this before anything is
    imported.
    """
    if sys.platform == "linux":
        parts = filter(None, os.environ.get("LD_LIBRARY_PATH", "").split(":"))
        # No folder of libraries: this one, to which OpenCV then adds.
        nothing = os.path.dirname(os.path.abspath(__file__))
        os.environ["LD_LIBRARY_PATH"] = ":".join(parts) or nothing
