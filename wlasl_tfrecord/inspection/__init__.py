"""Looking at a shard folder: summary, contact sheet, verification, .idx files.

May import shard_format, input_pipeline and video.
"""

__all__: list[str] = []
