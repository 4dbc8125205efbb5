"""Label files of any kind become one checked manifest.

One file a format, besides finding them, checking their values and making splits. May
import shard_format and video.
"""

__all__: list[str] = []
