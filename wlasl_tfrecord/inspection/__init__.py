"""Looking at a shard folder: summary, contact sheet, verification.

May import shard_format, input_pipeline and video.
"""

__all__: list[str] = []
