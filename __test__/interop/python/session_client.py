"""WebTransport sessions over aioquic's HTTP/3: all on one connection."""

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

    def __init__(self, client: "SessionClient", stream_id: int) -> None:
        loop = asyncio.get_running_loop()
        self._client = client
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
        self._client.send(self._id, data, end)

    def abort(self, reset: int, stop: int) -> None:
        self._client.abort(self._id, http_code(reset), http_code(stop))

    async def line(self) -> str:
        """The next line; the stream is left open."""
        await self._until(lambda: b"\n" in self._data)
        line, _, self._data = self._data.partition(b"\n")
        return line.decode()

    async def read(self, length: int) -> bytes:
        await self._until(lambda: len(self._data) >= length)
        read, self._data = self._data[:length], self._data[length:]
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
    """A session that was asked for."""

    def __init__(self, client: "SessionClient", session_id: int) -> None:
        loop = asyncio.get_running_loop()
        self._client = client
        self._id = session_id
        self._capsules = b""
        self.answer: asyncio.Future[dict[str, str]] = loop.create_future()
        self.closed: asyncio.Future[tuple[int, str]] = loop.create_future()
        self.draining = asyncio.Event()
        self.datagrams: asyncio.Queue[bytes] = asyncio.Queue()
        self.bidirectional: asyncio.Queue[Stream] = asyncio.Queue()
        self.unidirectional: asyncio.Queue[Stream] = asyncio.Queue()

    def open(self, unidirectional: bool = False) -> Stream:
        return self._client.open_stream(self._id, unidirectional)

    def send_datagram(self, data: bytes) -> None:
        self._client.send_datagram(self._id, data)

    def close(self, code: int = 0, reason: str = "") -> None:
        payload = code.to_bytes(4) + reason.encode()
        capsule = encode_uint_var(CLOSE_SESSION) + encode_uint_var(len(payload)) + payload
        self._client.send_capsule(self._id, capsule)

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
        if not self.closed.done():
            self.closed.set_result((code, reason))


class SessionClient(QuicConnectionProtocol):
    """One connection with any number of sessions."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self._http = H3Connection(self._quic, enable_webtransport=True)
        self._sessions: dict[int, Session] = {}
        self._streams: dict[int, Stream] = {}
        self._opened: set[int] = set()
        self._authority = ""

    def set_authority(self, authority: str) -> None:
        self._authority = authority

    async def session(self, path: str, **fields: str) -> Session:
        """Asks for a session; the answer is in `answer`."""
        stream_id = self._quic.get_next_available_stream_id()
        pseudo = {
            ":method": "CONNECT",
            ":scheme": "https",
            ":authority": self._authority,
            ":path": path,
            ":protocol": "webtransport",
        }
        fields = {name.replace("_", "-"): value for name, value in fields.items()}
        session = Session(self, stream_id)
        self._sessions[stream_id] = session
        headers = [(name.encode(), value.encode()) for name, value in (pseudo | fields).items()]
        self._http.send_headers(stream_id, headers)
        self.transmit()
        await session.answer
        return session

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

    def send_capsule(self, session_id: int, capsule: bytes) -> None:
        self._http.send_data(session_id, capsule, end_stream=True)
        self.transmit()

    def quic_event_received(self, event: QuicEvent) -> None:
        if isinstance(event, StreamReset) and event.stream_id in self._streams:
            self._streams[event.stream_id].broken(application_code(event.error_code))
        elif isinstance(event, StopSendingReceived) and event.stream_id in self._streams:
            self._streams[event.stream_id].stopped.set_result(application_code(event.error_code))
        elif isinstance(event, ConnectionTerminated):
            for session in self._sessions.values():
                if not session.answer.done():
                    session.answer.set_exception(ConnectionError(f"{event.error_code:#x} {event.reason_phrase}"))
        elif isinstance(event, StreamDataReceived) and event.stream_id in self._opened:
            # aioquic takes what comes back on these for frames of HTTP/3.
            self._streams[event.stream_id].take(event.data, event.end_stream)
            return
        for http_event in self._http.handle_event(event):
            self._take(http_event)

    def _take(self, event) -> None:
        if isinstance(event, HeadersReceived):
            self._sessions[event.stream_id].answer.set_result(
                {name.decode(): value.decode() for name, value in event.headers}
            )
        elif isinstance(event, DataReceived):
            self._sessions[event.stream_id].take_capsules(event.data, event.stream_ended)
        elif isinstance(event, DatagramReceived):
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
