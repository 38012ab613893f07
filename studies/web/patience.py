"""Connections that end when a client is too slow: it keeps no place in the server from the others."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_S = 20.0  # for a whole request, and as much longer as a body of its size may take
BODY_BYTES_PER_S = 100_000
READING_S = 60.0  # a client that takes nothing of its answer for so long is gone


class PatientProtocol(H11Protocol):
    """HTTP/1.1 as uvicorn speaks it, with an end to its patience: uvicorn itself waits for ever."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._began_at = self._n_bytes = 0.0
        self._sending: asyncio.TimerHandle | None = None
        self._reading: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a request, and not for ever."""
        super().connection_made(transport)
        self._await_request()

    def data_received(self, data: bytes) -> None:
        """Take what came. The time runs from a request's first byte to its last."""
        if self._sending is None:
            self._await_request()
        self._n_bytes += len(data)
        super().data_received(data)
        if self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):
            self._sending = _stopped(self._sending)

    def pause_writing(self) -> None:
        """The client takes its answer more slowly than it is written, or not at all."""
        super().pause_writing()
        self._reading = self.loop.call_later(READING_S, self.transport.abort)

    def resume_writing(self) -> None:
        """The client has taken some of it."""
        self._reading = _stopped(self._reading)
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._sending, self._reading = _stopped(self._sending), _stopped(self._reading)
        super().connection_lost(exc)

    def _await_request(self) -> None:
        self._began_at, self._n_bytes = self.loop.time(), 0.0
        self._sending = self.loop.call_later(REQUEST_S, self._look)

    def _look(self) -> None:
        left_s = self._began_at + REQUEST_S + self._n_bytes / BODY_BYTES_PER_S - self.loop.time()
        if left_s <= 0:
            self.transport.abort()
        else:
            self._sending = self.loop.call_later(left_s, self._look)


def _stopped(timer: asyncio.TimerHandle | None) -> asyncio.TimerHandle | None:
    """Stop a timer; return what to keep in its place."""
    if timer is not None:
        timer.cancel()
    return None
