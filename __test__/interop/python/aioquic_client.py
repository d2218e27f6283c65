"""aioquic: `python aioquic_client.py <url>`."""

import asyncio
import ssl
import sys
from urllib.parse import urlsplit

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, QuicEvent

from checks import Answer, run_checks


# aioquic compares the content-length of an answer to HEAD with its body, which RFC 9114 §4.1.2 exempts, and closes the
# connection.
SKIPPED = {"HEAD": "aioquic takes the content-length of an answer to HEAD for that of its body"}


class Client(QuicConnectionProtocol):
    """One connection; each request waits for the end of its stream."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self._http = H3Connection(self._quic)
        self._authority = ""
        self._open: dict[int, tuple[Answer, asyncio.Future[Answer]]] = {}

    def set_authority(self, authority: str) -> None:
        self._authority = authority

    async def request(self, method: str, path: str, body: bytes | None) -> Answer:
        stream = self._quic.get_next_available_stream_id()
        pseudo = {":method": method, ":scheme": "https", ":authority": self._authority, ":path": path}
        headers = [(name.encode(), value.encode()) for name, value in pseudo.items()]
        done: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._open[stream] = (Answer(0, {}, b""), done)
        self._http.send_headers(stream, headers, end_stream=body is None)
        if body is not None:
            self._http.send_data(stream, body, end_stream=True)
        self.transmit()
        return await done

    def quic_event_received(self, event: QuicEvent) -> None:
        if isinstance(event, ConnectionTerminated):
            for _, done in self._open.values():
                if not done.done():
                    done.set_exception(ConnectionError(f"{event.error_code:#x} {event.reason_phrase}"))
        for http_event in self._http.handle_event(event):
            self._take(http_event)

    def _take(self, event) -> None:
        if not isinstance(event, (HeadersReceived, DataReceived)):
            return
        answer, done = self._open[event.stream_id]
        if isinstance(event, HeadersReceived):
            fields = {name.decode(): value.decode() for name, value in event.headers}
            answer.status = int(fields.pop(":status"))
            answer.headers = fields
        else:
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
        await run_checks(client.request, SKIPPED)


asyncio.run(main(sys.argv[1]))
