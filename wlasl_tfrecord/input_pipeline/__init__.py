"""A shard folder becomes batches of clips: input_fn.

Order, reading, decoding, augmentation, batching, and measuring them. May import
shard_format.
"""

__all__: list[str] = []
