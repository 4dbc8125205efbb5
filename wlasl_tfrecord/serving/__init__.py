"""A trained model as a page and an HTTP interface on this machine.

May import decoder_pool, inference, network, shard_format and video.
"""

__all__: list[str] = []
