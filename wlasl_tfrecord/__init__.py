"""Sign-language video into TensorFlow: shards, an input function, training.

    bin/shard --src videos/                 # once: videos -> TFRecord shards
    bin/train --strategy mirrored           # on every GPU of the machine

>>> from wlasl_tfrecord import input_fn  # in any TensorFlow project
>>> from wlasl_tfrecord import ShardReader  # in any other
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from wlasl_tfrecord.child_processes import keep_library_path

if TYPE_CHECKING:
    from wlasl_tfrecord.annotations.reader import read_manifest
    from wlasl_tfrecord.errors import WlaslError
    from wlasl_tfrecord.evaluation.evaluation import evaluate
    from wlasl_tfrecord.inference.export import export_model
    from wlasl_tfrecord.inference.prediction import predict_videos
    from wlasl_tfrecord.inference.trained_model import load_model
    from wlasl_tfrecord.input_pipeline.augment import AugmentConfig
    from wlasl_tfrecord.input_pipeline.dataset import input_fn, steps_per_epoch
    from wlasl_tfrecord.input_pipeline.shard_reader import ShardReader
    from wlasl_tfrecord.shard_format.clips import ClipSpec
    from wlasl_tfrecord.shard_format.shard_folder import ShardFolder, load_folder
    from wlasl_tfrecord.shard_format.shard_options import ShardOptions
    from wlasl_tfrecord.sharding.sharder import write_shards
    from wlasl_tfrecord.training.config import TrainConfig
    from wlasl_tfrecord.training.trainer import train

__all__ = [
    "AugmentConfig",
    "ClipSpec",
    "ShardFolder",
    "ShardOptions",
    "ShardReader",
    "TrainConfig",
    "WlaslError",
    "evaluate",
    "export_model",
    "input_fn",
    "load_folder",
    "load_model",
    "predict_videos",
    "read_manifest",
    "steps_per_epoch",
    "train",
    "write_shards",
]

keep_library_path()

__version__ = "0.1.0"

# Name -> module, which is imported at the first use of the name: `import tensorflow`
# takes 3 s and half a gigabyte, which the workers of bin/shard and --help do not need.
_LAZY = {
    "AugmentConfig": "wlasl_tfrecord.input_pipeline.augment",
    "ClipSpec": "wlasl_tfrecord.shard_format.clips",
    "ShardFolder": "wlasl_tfrecord.shard_format.shard_folder",
    "ShardOptions": "wlasl_tfrecord.shard_format.shard_options",
    "ShardReader": "wlasl_tfrecord.input_pipeline.shard_reader",
    "TrainConfig": "wlasl_tfrecord.training.config",
    "WlaslError": "wlasl_tfrecord.errors",
    "evaluate": "wlasl_tfrecord.evaluation.evaluation",
    "export_model": "wlasl_tfrecord.inference.export",
    "input_fn": "wlasl_tfrecord.input_pipeline.dataset",
    "load_folder": "wlasl_tfrecord.shard_format.shard_folder",
    "load_model": "wlasl_tfrecord.inference.trained_model",
    "predict_videos": "wlasl_tfrecord.inference.prediction",
    "read_manifest": "wlasl_tfrecord.annotations.reader",
    "steps_per_epoch": "wlasl_tfrecord.input_pipeline.dataset",
    "train": "wlasl_tfrecord.training.trainer",
    "write_shards": "wlasl_tfrecord.sharding.sharder",
}


def __getattr__(name: str) -> Any:
    """Imports a public name at its first use (PEP 562)."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    """Lists the public names, lazy ones included."""
    return sorted({*globals(), *__all__})
