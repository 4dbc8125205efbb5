"""A manifest becomes a shard folder: plan, resume, write, report.

Whole files only, the same bytes after any interruption. May import decoder_pool and
what that may import.
"""

__all__: list[str] = []
