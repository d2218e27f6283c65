"""aioquic holds the conversations of `malformed.json`: `python malformed.py <url> <table>`."""

import asyncio
import json
import ssl
import sys
import time
from urllib.parse import urlsplit

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.buffer import Buffer, BufferReadError
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, QuicEvent, StreamDataReceived, StreamReset
from pylsqpack import Decoder

CONVERSATION_SECONDS = 10
# How long the server has to read a stream before it is reset, and to mind what it should not.
A_MOMENT = 0.1
# HEADERS of GET https://a/hello.
HELLO = bytes.fromhex("010f 0000 d1 d7 500161 5106") + b"/hello"
HEADERS, DATA = 0x1, 0x0


class Client(QuicConnectionProtocol):
    """A connection without HTTP/3: bytes on streams, and how streams and the connection end."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self._received: dict[int, bytes] = {}
        self._ends: dict[int, asyncio.Future[str]] = {}
        self.closed: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def open(self, stream: str) -> int | None:
        """Opens a stream of the table, `kind hex… end`; returns its id if it is a request."""
        kind, *words, end = stream.split(" ")
        data = bytes.fromhex("".join(words))
        if kind == "datagram":
            self._quic.send_datagram_frame(data)
            self.transmit()
            return None
        number = self._quic.get_next_available_stream_id(is_unidirectional=kind == "uni")
        if kind == "request":
            self._ends[number] = asyncio.get_running_loop().create_future()
        self._quic.send_stream_data(number, data, end_stream=end == "fin")
        self.transmit()
        if end == "reset":
            await asyncio.sleep(A_MOMENT)
            self._quic.reset_stream(number, 0x10C)
            self.transmit()
        return number if kind == "request" else None

    async def end_of(self, number: int, expected: str) -> str:
        """How a request ended; its content is counted where the table says how long it is."""
        done, _ = await asyncio.wait(
            [self._ends[number], self.closed], return_when=asyncio.FIRST_COMPLETED
        )
        end = done.pop().result()
        if end != "finished":
            return end
        status, content = read_answer(number, self._received.get(number, b""))
        return f"status {status}" + (f" content {content}" if "content" in expected else "")

    def quic_event_received(self, event: QuicEvent) -> None:
        if isinstance(event, ConnectionTerminated) and not self.closed.done():
            # Only a CONNECTION_CLOSE of QUIC itself names a frame.
            kind = "close" if event.frame_type is None else "transport-close"
            self.closed.set_result(f"{kind} {event.error_code:#x}")
        elif isinstance(event, StreamReset):
            self._end(event.stream_id, f"reset {event.error_code:#x}")
        elif isinstance(event, StreamDataReceived):
            self._received[event.stream_id] = self._received.get(event.stream_id, b"") + event.data
            if event.end_stream:
                self._end(event.stream_id, "finished")

    def _end(self, number: int, how: str) -> None:
        if number in self._ends and not self._ends[number].done():
            self._ends[number].set_result(how)


def read_answer(number: int, data: bytes) -> tuple[str, int]:
    """The status of an answer, and the bytes of its content."""
    buffer, status, content = Buffer(data=data), "none", 0
    try:
        while not buffer.eof():
            kind, length = buffer.pull_uint_var(), buffer.pull_uint_var()
            payload = buffer.pull_bytes(length)
            if kind == HEADERS:
                _, fields = Decoder(0, 0).feed_header(number, payload)
                status = dict(fields).get(b":status", b"none").decode()
            elif kind == DATA:
                content += length
    except BufferReadError:
        return "cut short", content
    return status, content


async def hold(url: str, streams: list[str], expected: str) -> str:
    """Holds a conversation, and says how it ended in the words of the table."""
    target = urlsplit(url)
    # A datagram is only sent by a peer that would take one itself.
    configuration = QuicConfiguration(
        alpn_protocols=["h3"], verify_mode=ssl.CERT_NONE, max_datagram_frame_size=65536
    )
    async with connect(
        target.hostname, target.port, configuration=configuration, create_protocol=Client
    ) as client:
        requests = [await client.open(stream) for stream in streams]
        if "close" in expected:
            return await client.closed
        numbers = [number for number in requests if number is not None]
        if numbers:
            end = await client.end_of(numbers[-1], expected)
        else:
            await asyncio.sleep(A_MOMENT)
            end = "alive"
        number = await client.open(f"request {HELLO.hex()} fin")
        after = await client.end_of(number, "")
        return end if after == "status 200" else f"{end}, then {after}"


async def main(url: str, table: str) -> None:
    with open(table, encoding="utf-8") as file:
        conversations = json.load(file)
    for conversation in conversations:
        started = time.monotonic()
        expected = conversation["expect"]
        report: dict[str, object] = {"check": conversation["name"], "ok": True}
        try:
            end = await asyncio.wait_for(
                hold(url, conversation["streams"], expected), CONVERSATION_SECONDS
            )
            if end != expected:
                report |= {"ok": False, "error": f"{end}, expected {expected}"}
        except Exception as error:  # noqa: BLE001: whatever fails is the result
            report |= {"ok": False, "error": f"{type(error).__name__}: {error}"}
        report["ms"] = round((time.monotonic() - started) * 1000)
        print(json.dumps(report), flush=True)


asyncio.run(main(sys.argv[1], sys.argv[2]))
