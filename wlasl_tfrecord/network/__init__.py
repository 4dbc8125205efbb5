"""The network: recipes, their backbone, and the files of a saved model.

Nothing here trains; nothing imports a recipe by name. May import shard_format.
"""

__all__: list[str] = []
