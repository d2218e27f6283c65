"""WebTransport over aioquic as a server: `python webtransport_server.py <cert.pem> <key.pem>` prints its URL and answers as
`session-routes.ts` says."""

import asyncio
import json
import sys
from collections import defaultdict

from aioquic.asyncio import serve
from aioquic.h3.connection import H3_ALPN
from aioquic.quic.configuration import QuicConfiguration

from sessions import Session, SessionConnection, Stream, StreamEnded

endings: dict[str, asyncio.Future] = defaultdict(lambda: asyncio.get_running_loop().create_future())
"""How echo sessions ended, by the last part of their path."""
tasks: set[asyncio.Task] = set()
"""The loop holds tasks weakly."""


def begin(work) -> None:
    task = asyncio.ensure_future(quietly(work))
    tasks.add(task)
    task.add_done_callback(tasks.discard)


async def quietly(work) -> None:
    """A client may end its session, or a stream, at any time."""
    try:
        await work
    except (StreamEnded, EOFError, ConnectionError):
        pass


def say(session: Session, message: str) -> None:
    session.open(unidirectional=True).write(f"{message}\n".encode(), end=True)


async def copy(source: Stream, sink: Stream) -> None:
    while data := await source.some():
        sink.write(data)
    sink.write(b"", end=True)


async def echo(session: Session, name: str) -> None:
    async def datagrams() -> None:
        while True:
            session.send_datagram(await session.datagrams.get())

    async def bidirectional() -> None:
        while True:
            stream = await session.bidirectional.get()
            begin(copy(stream, stream))

    async def unidirectional() -> None:
        while True:
            begin(copy(await session.unidirectional.get(), session.open(unidirectional=True)))

    echoing = [asyncio.ensure_future(work()) for work in (datagrams, bidirectional, unidirectional)]
    try:
        code, reason = await session.closed
        endings[name].set_result({"closeCode": code, "reason": reason})
    except ConnectionError as error:
        endings[name].set_result({"broke": str(error)})
    finally:
        for task in echoing:
            task.cancel()


async def ended(session: Session, name: str) -> None:
    say(session, json.dumps(await endings[name]))


async def open_stream(session: Session, _: str) -> None:
    stream = session.open()
    stream.write(b"from the server\n")
    say(session, f"heard {await stream.line()}")


async def close(session: Session, _: str) -> None:
    await (await session.bidirectional.get()).line()
    session.close(77, "closed by the server ✓")


async def resets(session: Session, _: str) -> None:
    first = await session.bidirectional.get()
    await first.line()
    first.abort(reset=5, stop=6)
    second = await session.bidirectional.get()
    second.write(b"go\n")
    codes = {"reset": await second.reset, "stop": await second.stopped}
    say(session, json.dumps(codes, separators=(",", ":")))


async def drain(session: Session, _: str) -> None:
    session.drain()


async def nothing(_session: Session, _: str) -> None:
    pass


SESSIONS = {
    "echo": echo,
    "ended": ended,
    "open": open_stream,
    "close": close,
    "resets": resets,
    "protocol": nothing,
    "drain": drain,
}


class SessionServer(SessionConnection):
    """Sessions that a client asks for."""

    def take_headers(self, stream_id: int, headers: dict[str, str]) -> None:
        _, _, what, *rest = headers[":path"].split("/") + [""]
        serve_session = SESSIONS.get(what) if headers.get(":protocol") == "webtransport" else None
        if serve_session is None:
            self._http.send_headers(stream_id, [(b":status", b"403")], end_stream=True)
            self.transmit()
            return
        session = Session(self, stream_id)
        self._sessions[stream_id] = session
        answer = [(b":status", b"200"), (b"sec-webtransport-http3-draft", b"draft02")]
        if what == "protocol" and '"second"' in headers.get("wt-available-protocols", ""):
            answer.append((b"wt-protocol", b'"second"'))
        self._http.send_headers(stream_id, answer)
        self.transmit()
        begin(serve_session(session, rest[0]))


async def main(cert: str, key: str) -> None:
    configuration = QuicConfiguration(alpn_protocols=H3_ALPN, is_client=False, max_datagram_frame_size=65536)
    configuration.load_cert_chain(cert, key)
    server = await serve("127.0.0.1", 0, configuration=configuration, create_protocol=SessionServer)
    port = server._transport.get_extra_info("sockname")[1]
    print(f"https://127.0.0.1:{port}/", flush=True)
    await asyncio.get_running_loop().create_future()


asyncio.run(main(*sys.argv[1:3]))
