"""MediaPipe's networks for the tests that run them; nothing is fetched for a test."""

import importlib.util

import pytest


def networks_folder() -> str:
    """Returns the folder with the networks; skips where there are none."""
    from wlasl_tfrecord.errors import LandmarkError
    from wlasl_tfrecord.landmarks.network_files import (
        NETWORK_FILES,
        cache_folder,
        read_network,
    )

    if importlib.util.find_spec("ai_edge_litert") is None:
        pytest.skip("the networks need the extra landmarks: pip install .[landmarks]")
    cache = cache_folder()
    try:
        for name in NETWORK_FILES:
            read_network(cache, name)
    except LandmarkError:
        pytest.skip(
            f"MediaPipe's networks are not in {cache}; any `bin/shard --landmarks` "
            "fetches them"
        )
    return str(cache)
