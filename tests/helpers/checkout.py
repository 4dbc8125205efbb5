"""Where the tested checkout lies, and the commands in it."""

from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
# But bin/test, which is for the checkout alone.
COMMANDS = sorted(
    path.name
    for path in (CHECKOUT / "bin").iterdir()
    if path.is_file() and path.name not in ("test", "_environment.py")
)
