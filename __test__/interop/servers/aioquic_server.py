"""aioquic's HTTP/3: `python aioquic_server.py <cert.pem> <key.pem>`. Prints its URL; a line on standard input stops it."""

import asyncio
import sys

from aioquic.asyncio import QuicConnectionProtocol, serve
from aioquic.h3.connection import H3_ALPN, ErrorCode, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, ProtocolNegotiated, StopSendingReceived, StreamReset

DOWNLOAD = bytes(at % 251 for at in range(251)) * ((20 << 20) // 251 + 1)
aborted = 0


class Server(QuicConnectionProtocol):
    """One connection: gathers each request, then answers it."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.http = None
        self.requests = {}
        self.tasks = {}

    def quic_event_received(self, event):
        global aborted
        if isinstance(event, ProtocolNegotiated):
            self.http = H3Connection(self._quic)
        if isinstance(event, (StreamReset, StopSendingReceived)):
            task = self.tasks.pop(event.stream_id, None)
            if task is not None:
                task.cancel()
                aborted += 1
        if isinstance(event, ConnectionTerminated):
            for task in self.tasks.values():
                task.cancel()
        if self.http is None:
            return
        for message in self.http.handle_event(event):
            if isinstance(message, HeadersReceived):
                self.requests.setdefault(message.stream_id, (dict(message.headers), []))
            elif isinstance(message, DataReceived):
                self.requests[message.stream_id][1].append(message.data)
            if isinstance(message, (HeadersReceived, DataReceived)) and message.stream_ended:
                headers, body = self.requests.pop(message.stream_id)
                work = self.answer(message.stream_id, headers, b"".join(body))
                self.tasks[message.stream_id] = asyncio.ensure_future(work)

    async def answer(self, stream, headers, body):
        path, method = headers[b":path"].decode(), headers[b":method"]
        status, more, content = b"200", [(b"content-type", b"text/plain")], b""
        if path.startswith("/number/"):
            content = path.removeprefix("/number/").encode()
        elif path == "/hello":
            content = b"hello"
        elif path == "/echo":
            content = body
        elif path == "/length":
            content = str(len(body)).encode()
        elif path == "/download":
            content = DOWNLOAD[: 20 << 20]
        elif path == "/headers":
            more.append((b"x-large", headers.get(b"x-large", b"")))
        elif path == "/aborted":
            content = str(aborted).encode()
        elif path == "/slow":
            await asyncio.sleep(0.5)
            content = b"slow"
        elif path in ("/endless", "/broken", "/trailers"):
            return await self.special(stream, path)
        else:
            status, content = b"404", b"nothing here"
        self.http.send_headers(stream, [(b":status", status), *more])
        self.http.send_data(stream, b"" if method == b"HEAD" else content, True)
        self.transmit()
        self.tasks.pop(stream, None)

    async def special(self, stream, path):
        self.http.send_headers(stream, [(b":status", b"200")])
        if path == "/trailers":
            self.http.send_data(stream, b"content", False)
            self.http.send_headers(stream, [(b"x-sum", b"f00d")], True)
            self.tasks.pop(stream, None)
            self.transmit()
            return
        while True:
            self.http.send_data(stream, bytes(10_000), False)
            self.transmit()
            await asyncio.sleep(0.005)
            if path == "/broken":
                self._quic.reset_stream(stream, ErrorCode.H3_INTERNAL_ERROR)
                self.tasks.pop(stream, None)
                self.transmit()
                return


async def main(cert, key):
    configuration = QuicConfiguration(alpn_protocols=H3_ALPN, is_client=False)
    configuration.load_cert_chain(cert, key)
    server = await serve("127.0.0.1", 0, configuration=configuration, create_protocol=Server)
    port = server._transport.get_extra_info("sockname")[1]
    print(f"https://127.0.0.1:{port}/", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    # It has no graceful stop: what is under way gets a second.
    await asyncio.sleep(1)
    server.close()


asyncio.run(main(*sys.argv[1:3]))
