"""WebTransport sessions over aioquic's HTTP/3, as a client and a server have them: many on one connection."""

import asyncio

from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.buffer import Buffer, BufferReadError, encode_uint_var
from aioquic.h3.connection import H3Connection
from aioquic.h3.events import DataReceived, DatagramReceived, HeadersReceived, WebTransportStreamDataReceived
from aioquic.quic.events import ConnectionTerminated, QuicEvent, StopSendingReceived, StreamDataReceived, StreamReset

CLOSE_SESSION = 0x2843
DRAIN_SESSION = 0x78AE
FIRST_CODE = 0x52E4A40FA8DB
"""The HTTP/3 code of the application's code 0 (draft-ietf-webtrans-http3 §4.4)."""


def http_code(code: int) -> int:
    return FIRST_CODE + code + code // 0x1E


def application_code(code: int) -> int:
    shifted = code - FIRST_CODE
    return shifted - shifted // 0x1F


class StreamEnded(Exception):
    """The peer reset or stopped the stream."""

    def __init__(self, code: int) -> None:
        super().__init__(f"code {code}")
        self.code = code


class Stream:
    """A stream of a session."""

    def __init__(self, connection: "SessionConnection", stream_id: int) -> None:
        loop = asyncio.get_running_loop()
        self._connection = connection
        self._id = stream_id
        self._data = b""
        self._ended = False
        self._changed = asyncio.Event()
        self.reset: asyncio.Future[int] = loop.create_future()
        self.stopped: asyncio.Future[int] = loop.create_future()

    def take(self, data: bytes, ended: bool) -> None:
        self._data += data
        self._ended |= ended
        self._changed.set()

    def broken(self, code: int) -> None:
        if not self.reset.done():
            self.reset.set_result(code)
        self._changed.set()

    def write(self, data: bytes, end: bool = False) -> None:
        self._connection.send(self._id, data, end)

    def abort(self, reset: int, stop: int) -> None:
        self._connection.abort(self._id, http_code(reset), http_code(stop))

    async def line(self) -> str:
        """The next line; the stream is left open."""
        await self._until(lambda: b"\n" in self._data)
        line, _, self._data = self._data.partition(b"\n")
        return line.decode()

    async def read(self, length: int) -> bytes:
        await self._until(lambda: len(self._data) >= length)
        read, self._data = self._data[:length], self._data[length:]
        return read

    async def some(self) -> bytes:
        """What is here, at least a byte; nothing at the end."""
        await self._until(lambda: self._data or self._ended)
        read, self._data = self._data, b""
        return read

    async def all(self) -> bytes:
        await self._until(lambda: self._ended)
        return self._data

    async def _until(self, condition) -> None:
        while not condition():
            if self.reset.done():
                raise StreamEnded(self.reset.result())
            if self._ended:
                raise EOFError("the stream ended")
            self._changed.clear()
            await self._changed.wait()


class Session:
    """A session; on a server, one that was accepted."""

    def __init__(self, connection: "SessionConnection", session_id: int) -> None:
        loop = asyncio.get_running_loop()
        self._connection = connection
        self._id = session_id
        self._capsules = b""
        self._said_close = False
        self.answer: asyncio.Future[dict[str, str]] = loop.create_future()
        self.closed: asyncio.Future[tuple[int, str]] = loop.create_future()
        self.draining = asyncio.Event()
        self.datagrams: asyncio.Queue[bytes] = asyncio.Queue()
        self.bidirectional: asyncio.Queue[Stream] = asyncio.Queue()
        self.unidirectional: asyncio.Queue[Stream] = asyncio.Queue()

    def open(self, unidirectional: bool = False) -> Stream:
        return self._connection.open_stream(self._id, unidirectional)

    def send_datagram(self, data: bytes) -> None:
        self._connection.send_datagram(self._id, data)

    def close(self, code: int = 0, reason: str = "") -> None:
        payload = code.to_bytes(4) + reason.encode()
        capsule = encode_uint_var(CLOSE_SESSION) + encode_uint_var(len(payload)) + payload
        self._said_close = True
        self._connection.send_content(self._id, capsule, end=True)

    def drain(self) -> None:
        self._connection.send_content(self._id, encode_uint_var(DRAIN_SESSION) + encode_uint_var(0))

    def broken(self, why: str) -> None:
        """Its connection is over."""
        for future in (self.answer, self.closed):
            if not future.done():
                future.set_exception(ConnectionError(why))
                # Not everybody asks.
                future.exception()

    async def said(self) -> str:
        """The line that the server says on its next unidirectional stream."""
        return await (await self.unidirectional.get()).line()

    def take_capsules(self, data: bytes, ended: bool) -> None:
        self._capsules += data
        while self._capsules:
            buffer = Buffer(data=self._capsules)
            try:
                kind = buffer.pull_uint_var()
                payload = buffer.pull_bytes(buffer.pull_uint_var())
            except BufferReadError:
                break
            self._capsules = self._capsules[buffer.tell() :]
            if kind == DRAIN_SESSION:
                self.draining.set()
            elif kind == CLOSE_SESSION:
                self._end(int.from_bytes(payload[:4]), payload[4:].decode())
        if ended:
            self._end(0, "")

    def _end(self, code: int, reason: str) -> None:
        if self.closed.done():
            return
        self.closed.set_result((code, reason))
        if not self._said_close:
            self._connection.send_content(self._id, b"", end=True)


class SessionConnection(QuicConnectionProtocol):
    """One connection with any number of sessions."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self._http = H3Connection(self._quic, enable_webtransport=True)
        self._sessions: dict[int, Session] = {}
        self._streams: dict[int, Stream] = {}
        self._opened: set[int] = set()

    def take_headers(self, stream_id: int, headers: dict[str, str]) -> None:
        """The head of a request, or of an answer."""
        raise NotImplementedError

    def open_stream(self, session_id: int, unidirectional: bool) -> Stream:
        stream_id = self._http.create_webtransport_stream(session_id, is_unidirectional=unidirectional)
        stream = Stream(self, stream_id)
        self._streams[stream_id] = stream
        self._opened.add(stream_id)
        return stream

    def send(self, stream_id: int, data: bytes, end: bool) -> None:
        self._quic.send_stream_data(stream_id, data, end)
        self.transmit()

    def abort(self, stream_id: int, reset: int, stop: int) -> None:
        self._quic.reset_stream(stream_id, reset)
        self._quic.stop_stream(stream_id, stop)
        self.transmit()

    def send_datagram(self, session_id: int, data: bytes) -> None:
        self._http.send_datagram(session_id, data)
        self.transmit()

    def send_content(self, session_id: int, data: bytes, end: bool = False) -> None:
        self._http.send_data(session_id, data, end_stream=end)
        self.transmit()

    def quic_event_received(self, event: QuicEvent) -> None:
        if isinstance(event, StreamReset) and event.stream_id in self._streams:
            self._streams[event.stream_id].broken(application_code(event.error_code))
        elif isinstance(event, StopSendingReceived) and event.stream_id in self._streams:
            self._streams[event.stream_id].stopped.set_result(application_code(event.error_code))
        elif isinstance(event, ConnectionTerminated):
            for session in self._sessions.values():
                session.broken(f"{event.error_code:#x} {event.reason_phrase}")
        elif isinstance(event, StreamDataReceived) and event.stream_id in self._opened:
            # aioquic takes what comes back on these for frames of HTTP/3.
            self._streams[event.stream_id].take(event.data, event.end_stream)
            return
        for http_event in self._http.handle_event(event):
            self._take(http_event)

    def _take(self, event) -> None:
        if isinstance(event, HeadersReceived):
            headers = {name.decode(): value.decode() for name, value in event.headers}
            self.take_headers(event.stream_id, headers)
        elif isinstance(event, DataReceived):
            if event.stream_id in self._sessions:
                self._sessions[event.stream_id].take_capsules(event.data, event.stream_ended)
        elif isinstance(event, DatagramReceived):
            if event.stream_id in self._sessions:
                self._sessions[event.stream_id].datagrams.put_nowait(event.data)
        elif isinstance(event, WebTransportStreamDataReceived):
            self._stream_of(event).take(event.data, event.stream_ended)

    def _stream_of(self, event: WebTransportStreamDataReceived) -> Stream:
        stream = self._streams.get(event.stream_id)
        if stream is None:
            stream = Stream(self, event.stream_id)
            self._streams[event.stream_id] = stream
            session = self._sessions[event.session_id]
            # RFC 9000 §2.1: the second bit tells unidirectional streams.
            queue = session.unidirectional if event.stream_id & 2 else session.bidirectional
            queue.put_nowait(stream)
        return stream
