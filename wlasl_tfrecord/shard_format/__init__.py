"""The shard format: the only room that knows the bytes of a shard folder.

Clips, codecs, protos, records and the files about them; the write side and the read
side meet here. May import the ground alone: errors, files, text.
"""

__all__: list[str] = []
