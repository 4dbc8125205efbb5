"""One video file, or folder of images, becomes the frames of a clip.

Opening, hashing, choosing frames, orientation, framing, and what FFmpeg logged. May
import shard_format.
"""

__all__: list[str] = []
