"""`bin/inspect`: what a folder of shards holds, and whether it is whole."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from wlasl_tfrecord.cli.command import make_parser, run
from wlasl_tfrecord.cli.process import import_tensorflow
from wlasl_tfrecord.errors import OutputError
from wlasl_tfrecord.shard_format.layout import SPLITS
from wlasl_tfrecord.shard_format.shard_folder import ShardFolder, load_folder

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command.

    Returns:
        0 if the folder could be read and, with `--verify`, is whole; 1 otherwise.
    """
    parser = make_parser(
        "inspect",
        "Shows what a folder of shards holds; verifies it; draws a contact sheet.",
    )
    parser.add_argument(
        "data", nargs="?", default="shards/", help="the folder that bin/shard wrote"
    )
    parser.add_argument(
        "--split",
        choices=SPLITS,
        help="only this split, for the sheet, --verify and --tfrecord-index",
    )
    parser.add_argument(
        "--contact-sheet",
        metavar="PNG",
        help="draw rows of clips with gloss and id into this file",
    )
    parser.add_argument(
        "--clips", type=int, default=16, help="how many clips the sheet shows"
    )
    parser.add_argument(
        "--verify",
        action="store_true",
        help="read and check every record: checksum, shape, label, counts",
    )
    parser.add_argument(
        "--tfrecord-index",
        metavar="DIR",
        help="write an .idx file a shard into this folder, as DALI and PyTorch's "
        "tfrecord take",
    )
    parser.add_argument(
        "--json", action="store_true", help="print the summary as JSON, for programs"
    )
    return run("inspect", parser, _inspect, argv)


def _inspect(arguments: argparse.Namespace) -> int:
    from wlasl_tfrecord.inspection.summary import (
        summarize,
        summary_dict,
        summary_text,
    )

    if arguments.clips < 1:
        raise ValueError(f"--clips must be at least 1, got {arguments.clips}")
    # --verify reports more about a damaged shard than its wrong size.
    folder = load_folder(arguments.data, check_shards=not arguments.verify)
    splits = folder.splits if arguments.split is None else (arguments.split,)
    for split in splits:
        folder.split_shards(split)
    if arguments.contact_sheet:
        sheet_dir = Path(arguments.contact_sheet).absolute().parent
        if not sheet_dir.is_dir():
            raise OutputError(
                f"cannot write {arguments.contact_sheet}: there is no folder "
                f"{sheet_dir}; choose another place"
            )
    if arguments.verify or arguments.contact_sheet:
        import_tensorflow()
    if arguments.verify and not _verify(folder, splits):
        return 1
    summary = summarize(folder)
    if arguments.json:
        print(json.dumps(summary_dict(summary), indent=2))
    else:
        print(summary_text(summary))
    if arguments.contact_sheet:
        from wlasl_tfrecord.inspection import contact_sheet

        rows = contact_sheet.choose_rows(folder, arguments.clips, splits)
        contact_sheet.write_contact_sheet(folder, rows, arguments.contact_sheet)
        print(f"\n{len(rows)} clips drawn: {arguments.contact_sheet}", file=sys.stderr)
    if arguments.tfrecord_index:
        from wlasl_tfrecord.inspection.tfrecord_index import write_tfrecord_index

        num_files = write_tfrecord_index(folder, splits, arguments.tfrecord_index)
        written = f"{num_files} .idx files written: {arguments.tfrecord_index}"
        print(f"\n{written}", file=sys.stderr)
    return 0


def _verify(folder: ShardFolder, splits: Sequence[str]) -> bool:
    """Prints every damage and the number of records; returns whether all are whole."""
    from tqdm import tqdm

    from wlasl_tfrecord.inspection.verify_files import verify_files
    from wlasl_tfrecord.inspection.verify_records import verify_split

    total = sum(folder.num_clips(split) for split in splits)
    found = verify_files(folder)
    num_damaged = len(found)
    for damage in found:
        print(damage)
    with tqdm(total=total, unit="clips", disable=None) as progress:
        for split in splits:
            for damage in verify_split(folder, split):
                if damage is not None:
                    num_damaged += 1
                    progress.write(str(damage), file=sys.stdout)
                if damage is None or damage.record is not None:
                    progress.update()
    if num_damaged:
        faults = "1 fault" if num_damaged == 1 else f"{num_damaged} faults"
        # bin/shard notices a shard that is missing or too short, but reads none.
        print(
            f"{faults} in {folder.directory}; delete the shards named above and run "
            "bin/shard again, or copy the folder again"
        )
    else:
        print(f"all {total:,} records of {folder.directory} are whole", file=sys.stderr)
    return not num_damaged


if __name__ == "__main__":
    sys.exit(main())
