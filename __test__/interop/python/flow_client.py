"""Flow control of WebTransport sessions, over pywebtransport: `python flow_client.py <url>`.

Its QUIC is quinn, as ours; its HTTP/3 and WebTransport are its own. Each check has a connection of its own."""

import asyncio
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from pywebtransport import ClientConfig, WebTransportClient, WebTransportSession

from checks import expect, report_checks

WINDOW = 16 * 1024
"""What the client lets the server send ahead in a session, in bytes."""
STREAMS = 4
"""How many streams of each kind it lets the server have open."""
SERVER_WINDOW = 1 << 20
SERVER_STREAMS = 128
BODY = 4 * SERVER_WINDOW
STALLED_SECONDS = 0.5
SESSIONS = 5


@asynccontextmanager
async def connected(url: str, path: str) -> AsyncIterator[WebTransportSession]:
    config = ClientConfig(
        verify_mode=ssl.CERT_NONE,
        initial_max_data=WINDOW,
        session_receive_window=WINDOW,
        initial_max_streams_bidi=STREAMS,
        initial_max_streams_uni=STREAMS,
    )
    async with WebTransportClient(config=config) as client:
        yield await client.connect(url=f"{url}{path}")


async def negotiated(url: str) -> None:
    async with connected(url, "sessions/echo/a") as session:
        seen = await session.diagnose()
        expect("flow control", seen.flow_control_negotiated, True)
        limits = (seen.peer_max_data, seen.peer_max_streams_bidi, seen.peer_max_streams_uni)
        expect("limits of the server", limits, (SERVER_WINDOW, SERVER_STREAMS, 64))


async def there_and_back(url: str) -> None:
    async with connected(url, "sessions/echo/b") as session:
        await echo(session, BODY)
        seen = await session.diagnose()
        expect("more than the first limit", seen.data_sent > SERVER_WINDOW, True)
        expect("limit raised", seen.peer_max_data > SERVER_WINDOW, True)


async def echo(session: WebTransportSession, length: int) -> None:
    body = bytes(at % 251 for at in range(length))
    stream = await session.create_bidirectional_stream()
    writing = asyncio.create_task(stream.write_all(data=body, end_stream=True))
    expect("equal", await stream.read_all() == body, True)
    await writing


async def many_streams(url: str) -> None:
    async with connected(url, "sessions/echo/c") as session:
        for _ in range(3 * SERVER_STREAMS):
            await echo(session, 10)
        seen = await session.diagnose()
        expect("limit raised", seen.peer_max_streams_bidi > SERVER_STREAMS, True)


async def many_streams_of_server(url: str) -> None:
    async with connected(url, "sessions/echo/d") as session:
        back = session.incoming_unidirectional_streams()
        for n in range(5 * STREAMS):
            stream = await session.create_unidirectional_stream()
            await stream.write(data=f"{n}".encode(), end_stream=True)
            expect("echo", await (await anext(back)).read_all(), f"{n}".encode())


async def server_waits(url: str) -> None:
    """The server has more streams to open and more to send than it may, until the client takes what is there."""
    async with connected(url, "sessions/echo/e") as session:
        for n in range(3 * STREAMS):
            stream = await session.create_unidirectional_stream()
            await stream.write(data=bytes([n]) * WINDOW, end_stream=True)
        await asyncio.sleep(STALLED_SECONDS)
        opened = (await session.diagnose()).peer_streams_uni_opened
        expect("streams opened by the server", 0 < opened <= STREAMS, True)
        back = session.incoming_unidirectional_streams()
        # All that are there are read at the same time: they share the credit.
        reading = [asyncio.create_task((await anext(back)).read_all()) for _ in range(3 * STREAMS)]
        bodies = await asyncio.gather(*reading)
        expect("lengths", {len(body) for body in bodies}, {WINDOW})
        expect("bodies", {body[0] for body in bodies}, set(range(3 * STREAMS)))


async def client_waits(url: str) -> None:
    """Nobody reads these streams: QUIC would take twice as much as the session may send."""
    async with connected(url, "sessions/drain") as session:
        streams = [await session.create_bidirectional_stream() for _ in range(2)]
        writing = [asyncio.create_task(stream.write_all(data=bytes(SERVER_WINDOW))) for stream in streams]
        await asyncio.sleep(STALLED_SECONDS)
        expect("bytes sent", (await session.diagnose()).data_sent <= SERVER_WINDOW, True)
        for each in writing:
            each.cancel()
        await asyncio.gather(*writing, return_exceptions=True)


async def several_sessions(url: str) -> None:
    async with connected(url, "sessions/echo/f") as first:
        authority = urlsplit(url).netloc
        others = [
            await first.connection.create_session(authority=authority, path=f"/sessions/echo/f{n}")
            for n in range(1, SESSIONS)
        ]
        for session in others:
            await session.ensure_ready()
        expect("sessions", len({session.session_id for session in [first, *others]}), SESSIONS)
        await asyncio.gather(*(echo(session, SERVER_WINDOW // 2) for session in [first, *others]))


CHECKS = {
    "flow control of sessions is agreed on, with the limits of the server": negotiated,
    "bytes go there and back beyond the first limits of both": there_and_back,
    "the client opens more streams than it may have at once": many_streams,
    "the server opens more streams than it may have at once": many_streams_of_server,
    "the server waits for credit, and goes on with it": server_waits,
    "the client waits for a session that is not read": client_waits,
    "several sessions on one connection, each with its own credit": several_sessions,
}

asyncio.run(report_checks(CHECKS, sys.argv[1]))
