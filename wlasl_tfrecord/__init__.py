"""Sign-language video into TensorFlow: shards, an input function, training.

    bin/shard --src videos/                 # once: videos -> TFRecord shards
    bin/train --strategy mirrored           # on every GPU of the machine

>>> from wlasl_tfrecord import input_fn  # in any TensorFlow project
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wlasl_tfrecord.errors import WlaslError
    from wlasl_tfrecord.input_pipeline.augment import AugmentConfig
    from wlasl_tfrecord.input_pipeline.dataset import input_fn, steps_per_epoch
    from wlasl_tfrecord.shard_format.clips import ClipSpec
    from wlasl_tfrecord.shard_format.shard_folder import ShardFolder, load_folder

__all__ = [
    "AugmentConfig",
    "ClipSpec",
    "ShardFolder",
    "WlaslError",
    "input_fn",
    "load_folder",
    "steps_per_epoch",
]

__version__ = "0.1.0"

# Name -> module. Only asking for `input_fn` imports TensorFlow (3 s and half a
# gigabyte); the workers of bin/shard and every --help do without.
_LAZY = {
    "AugmentConfig": "wlasl_tfrecord.input_pipeline.augment",
    "ClipSpec": "wlasl_tfrecord.shard_format.clips",
    "ShardFolder": "wlasl_tfrecord.shard_format.shard_folder",
    "WlaslError": "wlasl_tfrecord.errors",
    "input_fn": "wlasl_tfrecord.input_pipeline.dataset",
    "load_folder": "wlasl_tfrecord.shard_format.shard_folder",
    "steps_per_epoch": "wlasl_tfrecord.input_pipeline.dataset",
}


def __getattr__(name: str) -> Any:
    """Imports what is asked for, when it is asked for (PEP 562)."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    """Lists the public names, lazy ones included."""
    return sorted({*globals(), *__all__})
