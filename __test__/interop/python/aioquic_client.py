"""aioquic: `python aioquic_client.py <url>`."""

import asyncio
import ssl
import sys
from urllib.parse import urlsplit

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, ErrorCode, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, QuicEvent

from checks import Answer, run_checks


class Client(QuicConnectionProtocol):
    """One connection; each request waits for the end of its stream."""

    # RFC 9114 §4.1.2 exempts answers to HEAD; §4.1 allows interim heads.
    skipped = {
        "HEAD": "aioquic takes the content-length of an answer to HEAD for that of its body, and closes the connection",
    }

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self._http = H3Connection(self._quic)
        self._authority = ""
        self._open: dict[int, tuple[Answer, asyncio.Future[Answer]]] = {}
        self._begun = asyncio.Event()

    def set_authority(self, authority: str) -> None:
        self._authority = authority

    async def request(self, method: str, path: str, body: bytes | None) -> Answer:
        stream, done = self._begin(method, path, ends=body is None)
        if body is not None:
            self._http.send_data(stream, body, end_stream=True)
        self.transmit()
        return await done

    async def cancel(self, path: str) -> None:
        stream, _ = self._begin("GET", path, ends=True)
        self.transmit()
        self._begun.clear()
        await self._begun.wait()
        del self._open[stream]
        self._quic.stop_stream(stream, ErrorCode.H3_REQUEST_CANCELLED)
        self.transmit()

    async def post_with_trailer(self, path: str, body: bytes, checksum: str) -> str | None:
        stream, done = self._begin("POST", path, ends=False)
        self._http.send_data(stream, body, end_stream=False)
        self._http.send_headers(stream, [(b"x-sum", checksum.encode())], end_stream=True)
        self.transmit()
        return (await done).headers.get("x-sum")

    def _begin(self, method: str, path: str, ends: bool) -> tuple[int, asyncio.Future[Answer]]:
        stream = self._quic.get_next_available_stream_id()
        pseudo = {":method": method, ":scheme": "https", ":authority": self._authority, ":path": path}
        headers = [(name.encode(), value.encode()) for name, value in pseudo.items()]
        done: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._open[stream] = (Answer(0, {}, b""), done)
        self._http.send_headers(stream, headers, end_stream=ends)
        return stream, done

    def quic_event_received(self, event: QuicEvent) -> None:
        if isinstance(event, ConnectionTerminated):
            for _, done in self._open.values():
                if not done.done():
                    done.set_exception(ConnectionError(f"{event.error_code:#x} {event.reason_phrase}"))
        for http_event in self._http.handle_event(event):
            self._take(http_event)

    def _take(self, event) -> None:
        if not isinstance(event, (HeadersReceived, DataReceived)) or event.stream_id not in self._open:
            return
        answer, done = self._open[event.stream_id]
        if isinstance(event, HeadersReceived):
            fields = {name.decode(): value.decode() for name, value in event.headers}
            answer.status = int(fields.pop(":status", answer.status))
            answer.headers |= fields
        else:
            self._begun.set()
            answer.body += event.data
        if event.stream_ended:
            done.set_result(answer)


async def main(base: str) -> None:
    url = urlsplit(base)
    configuration = QuicConfiguration(alpn_protocols=H3_ALPN, verify_mode=ssl.CERT_NONE)
    async with connect(
        url.hostname, url.port, configuration=configuration, create_protocol=Client
    ) as client:
        client.set_authority(url.netloc)
        await run_checks(client)


asyncio.run(main(sys.argv[1]))
