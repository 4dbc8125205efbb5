"""A trained model at work: prediction from videos, and export.

May import network, video and shard_format.
"""

__all__: list[str] = []
