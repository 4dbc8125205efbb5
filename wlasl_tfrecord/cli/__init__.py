"""The commands, one thin `main(argv)` a module, which returns the exit code.

May import every room.
"""

import os
import sys

from wlasl_tfrecord.cli import ctrl_c

__all__: list[str] = []

# This package is the first import of an installed command; in a checkout
# bin/_environment.py has done it before.
if os.path.basename(sys.argv[0]).startswith("wlasl-"):
    ctrl_c.stop_at_once(os.path.basename(sys.argv[0]))
