"""Landmarks: points of hands and upper body, found in frames by MediaPipe's networks.

The networks are fetched as data, checked by their hashes, and run by LiteRT; what
surrounds them (anchors, regions, tracking) is NumPy and OpenCV. May import shard_format
and video.
"""

__all__: list[str] = []
