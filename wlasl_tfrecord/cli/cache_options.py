"""The options of the cache for shards at a URL, and what is read through it."""

import argparse

from wlasl_tfrecord.shard_format.shard_folder import ShardFolder, load_folder
from wlasl_tfrecord.storage.object_cache import CacheConfig

__all__ = ["add_cache", "load_cached"]


def add_cache(parser: argparse._ActionsContainer) -> None:
    """Adds --cache-dir and --cache-gib."""
    parser.add_argument(
        "--cache-dir",
        metavar="DIR",
        help="keep the shards of a URL here, whole; several processes may share it",
    )
    parser.add_argument(
        "--cache-gib",
        type=float,
        default=CacheConfig.max_gib,
        help="how much it may hold",
    )


def load_cached(
    data: str, arguments: argparse.Namespace, *, check_shards: bool
) -> ShardFolder:
    """Loads a shard folder, which is read through the cache that was asked for.

    Raises:
        ShardFolderError: If the folder cannot be used.
        StoreError: If its store cannot.
    """
    return load_folder(
        data,
        check_shards=check_shards,
        cache_dir=arguments.cache_dir,
        cache_gib=arguments.cache_gib,
    )
