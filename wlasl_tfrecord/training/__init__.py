"""Training: from shards and a recipe to a run folder with a model.

Phases, loop, step, checkpoints, strategies, history. May import input_pipeline,
network, evaluation and shard_format.
"""

__all__: list[str] = []
