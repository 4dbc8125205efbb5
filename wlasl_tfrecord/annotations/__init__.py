"""Label files of any kind become one checked manifest.

A file for each format and each published data set; others find label files, check
their values and make splits. May import shard_format and video.
"""

__all__: list[str] = []
