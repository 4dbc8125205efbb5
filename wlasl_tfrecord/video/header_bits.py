"""The bits of a codec's header, read one after the other."""

__all__ = ["Bits"]


# The headers that are read have less than a kilobyte. A longer one is taken for cut
# off: reading it bit by bit would take seconds.
_MAX_HEADER_BYTES = 4096


class Bits:
    """The bits of a header, from its first one on."""

    def __init__(self, content: bytes) -> None:
        content = content[:_MAX_HEADER_BYTES]
        self._content = int.from_bytes(content, "big")
        self._left = 8 * len(content)

    def read(self, count: int) -> int:
        """Reads an unsigned number of `count` bits.

        Raises:
            ValueError: If there are not so many.
        """
        if count > self._left:
            raise ValueError("the header is cut off")
        self._left -= count
        return self._content >> self._left & ((1 << count) - 1)

    def golomb(self) -> int:
        """Reads an unsigned number in Exp-Golomb code.

        Raises:
            ValueError: If the header ends within it.
        """
        zeros = 0
        while not self.read(1):
            zeros += 1
        return (1 << zeros) - 1 + self.read(zeros)

    def skip_golombs(self, count: int) -> None:
        """Passes over numbers in Exp-Golomb code.

        Raises:
            ValueError: If there are not so many.
        """
        for _ in range(count):
            self.golomb()
