"""Memory for batches of frames that is used again when nobody refers to it any more."""

from collections import deque

import numpy as np
from numpy.typing import NDArray

__all__ = ["FrameBuffers"]

# TensorFlow takes over the memory of an array without a copy where it begins at a
# multiple of this (EIGEN_MAX_ALIGN_BYTES of its builds with AVX-512).
_ALIGNMENT_BYTES = 64


class FrameBuffers:
    """Arrays of one shape, whose memory returns here with the last reference to them.

    The kernel clears each page that it gives to a process: 36 MB of fresh memory take
    longer than reading 36 MB of frames. Its calls may come from several threads.
    """

    def __init__(self, shape: tuple[int, ...], max_free: int) -> None:
        """Allocates nothing yet.

        Args:
            shape: The shape of the arrays.
            max_free: How many unused ones are kept.
        """
        self._shape = shape
        self._free: deque[NDArray[np.uint8]] = deque(maxlen=max_free)

    def take(self) -> NDArray[np.uint8]:
        """Returns an array of frames, uint8, with whatever bytes it had before."""
        try:
            memory = self._free.pop()
        except IndexError:
            num_bytes = int(np.prod(self._shape))
            raw = np.empty(num_bytes + _ALIGNMENT_BYTES, np.uint8)
            start = -raw.ctypes.data % _ALIGNMENT_BYTES
            memory = raw[start : start + num_bytes]
        return np.asarray(_Loan(memory, self._free)).reshape(self._shape)


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
