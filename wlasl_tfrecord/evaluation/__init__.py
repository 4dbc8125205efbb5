"""How good a model is on a split of a shard folder.

Metrics counted clip by clip, and the report made of them. May import input_pipeline,
network and shard_format.
"""

__all__: list[str] = []
