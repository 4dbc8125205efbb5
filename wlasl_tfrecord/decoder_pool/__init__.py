"""Processes that decode videos into records, isolated and limited.

A video can crash, hang or exhaust its process, never the run. May import annotations,
shard_format and video.
"""

__all__: list[str] = []
