"""Programs that run a command of their own, for tests."""

# Prints a setting of the allocator, and its own arguments.
PROGRAM = """
import sys
from wlasl_tfrecord.cli import command
def body(arguments):
    import os
    print(os.environ.get("MALLOC_TRIM_THRESHOLD_"), sys.argv[1:])
    return 0
parser = command.make_parser("shard", "Shards.")
parser.add_argument("words", nargs="*")
sys.exit(command.run("shard", parser, body))
"""
