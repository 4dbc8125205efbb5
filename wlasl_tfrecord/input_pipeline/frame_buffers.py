"""Memory for frames that is used again: that of batches, and that of calls."""

import math
from collections import deque

import numpy as np
from numpy.typing import NDArray

__all__ = ["FrameBuffers", "Scratch"]

# TensorFlow takes over the memory of an array without a copy where it begins at a
# multiple of this (EIGEN_MAX_ALIGN_BYTES of its builds with AVX-512).
_ALIGNMENT_BYTES = 64


class FrameBuffers:
    """Arrays of one shape, whose memory returns here with the last reference to them.

    The kernel clears each page that it gives to a process: 36 MB of fresh memory take
    longer than reading 36 MB of frames. Its calls may come from several threads.

    Attributes:
        shape: The shape of the arrays.
    """

    def __init__(self, shape: tuple[int, ...], max_free: int) -> None:
        """Allocates nothing yet.

        Args:
            shape: The shape of the arrays.
            max_free: How many unused ones are kept.
        """
        self.shape = shape
        self._free: deque[NDArray[np.uint8]] = deque(maxlen=max_free)

    def take(self) -> NDArray[np.uint8]:
        """Returns an array of frames, uint8, with whatever bytes it had before."""
        try:
            memory = self._free.pop()
        except IndexError:
            num_bytes = math.prod(self.shape)
            raw = np.empty(num_bytes + _ALIGNMENT_BYTES, np.uint8)
            start = -raw.ctypes.data % _ALIGNMENT_BYTES
            memory = raw[start : start + num_bytes]
        return np.asarray(_Loan(memory, self._free)).reshape(self.shape)


class _Loan:
    """What an array is a view of; its end is the end of all such views."""

    def __init__(
        self, memory: NDArray[np.uint8], free: deque[NDArray[np.uint8]]
    ) -> None:
        self._memory = memory
        self._free = free
        self.__array_interface__ = memory.__array_interface__

    def __del__(self) -> None:
        self._free.append(self._memory)


class Scratch:
    """Memory that one call works in, and a later one uses again."""

    def __init__(self) -> None:
        """Allocates nothing yet."""
        self._arrays: dict[str, NDArray[np.uint8]] = {}

    def array(self, name: str, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """Returns uint8 [...] of a name, which always has the same shape."""
        if name not in self._arrays:
            self._arrays[name] = np.empty(shape, np.uint8)
        return self._arrays[name]

    def decoded(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """Returns uint8 [N, H, W, 3], always of the same shape, to decode frames into.

        libjpeg-turbo writes past the processor's cache where a row begins at a multiple
        of 32 bytes, as all do in a batch of 224 x 224. It takes less time to decode
        some frames to elsewhere and to copy them.
        """
        num_bytes = math.prod(shape)
        memory = self.array("decoded", (num_bytes + 32,))
        start = (16 - memory.ctypes.data) % 32
        return memory[start : start + num_bytes].reshape(shape)
