"""The names in a shard folder: its files, splits and format version."""

__all__ = [
    "DATASET_NAME",
    "FAILURES_FILE",
    "FAILURE_COLUMNS",
    "FEATURES_FILE",
    "FORMAT_VERSION",
    "INDEX_FILE",
    "INFO_FILE",
    "LABELS_FILE",
    "LANDMARKS_VERSION",
    "MAX_SHARDS",
    "REPORT_FILE",
    "SPLITS",
    "record_table_file",
    "shard_name",
]

SPLITS = ("train", "val", "test")
DATASET_NAME = "wlasl"

# Semantic: a reader takes any folder of its own major version. A change of the order of
# records, of a key or of a file raises it, here and in docs/shard-format.md.
FORMAT_VERSION = "1.0.0"
# That of a folder whose records have landmarks, which older readers ignore.
LANDMARKS_VERSION = "1.1.0"
# Of a split.
MAX_SHARDS = 2**20
# What the folder says of itself, beside TFDS's dataset_info.json and features.json,
# whose schemas take no further fields.
INDEX_FILE = "index.json"
INFO_FILE = "dataset_info.json"
FEATURES_FILE = "features.json"

# TFDS names it after the feature, with dots for slashes.
LABELS_FILE = "clip.label.index.labels.txt"
# What became of every instance.
REPORT_FILE = "report.json"
FAILURES_FILE = "failures.csv"
# Of failures.csv; by them it is told from a table of videos that somebody made.
FAILURE_COLUMNS = ("video_id", "gloss", "split", "path", "stage", "reason")


def shard_name(split: str, shard_index: int, num_shards: int) -> str:
    """Names one shard as Beam and TensorFlow Datasets do.

    >>> shard_name("train", 0, 16)
    'wlasl-train.tfrecord-00000-of-00016'
    """
    return f"{DATASET_NAME}-{split}.tfrecord-{shard_index:05d}-of-{num_shards:05d}"


def record_table_file(split: str) -> str:
    """Names the table of records of a split."""
    return f"{DATASET_NAME}-{split}.index.csv"
