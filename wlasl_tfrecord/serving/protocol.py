"""A connection that must send the head of a request in time.

Uvicorn limits how long an idle connection stays open after an answer, and the
application how long a body may take. Between the two, somebody who sends a header byte
by byte would hold a connection for ever, and a thousand of them would hold all that the
server may have.
"""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["protocol_class"]


def protocol_class(header_seconds: float) -> type[H11Protocol]:
    """Makes the protocol of a server's connections.

    Args:
        header_seconds: How long the head of a request may take: from the connection,
            or from the first byte after an answer, to the empty line.
    """

    class TimedProtocol(H11Protocol):
        """A connection that is closed if the head of a request takes too long."""

        _watchdog: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._watch()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            # IDLE is the state before the whole head was read. An idle connection of
            # which nothing came since an answer is Uvicorn's to close.
            if self.conn.their_state is not h11.IDLE:
                self._stop_watching()
            elif self._watchdog is None and self.conn.trailing_data[0]:
                self._watch()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_watching()
            super().connection_lost(exc)

        def _watch(self) -> None:
            self._watchdog = self.loop.call_later(header_seconds, self._give_up)

        def _stop_watching(self) -> None:
            if self._watchdog is not None:
                self._watchdog.cancel()
                self._watchdog = None

        def _give_up(self) -> None:
            self._watchdog = None
            if self.transport.is_closing():
                return
            body = b'{"error":"the head of the request took too long"}'
            self.transport.write(
                b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\n"
                b"content-type: application/json\r\n"
                b"content-length: %d\r\n\r\n%b" % (len(body), body)
            )
            self.transport.close()

    return TimedProtocol
