"""WebTransport over aioquic: `python webtransport_client.py <url>` runs the checks of `session-checks.ts`."""

import asyncio
import json
import secrets
import ssl
import sys
from urllib.parse import urlsplit

from aioquic.asyncio.client import connect
from aioquic.h3.connection import H3_ALPN
from aioquic.quic.configuration import QuicConfiguration

from checks import expect, report_checks
from session_client import SessionClient
from sessions import Session, StreamEnded

DATAGRAMS = 50
SESSIONS = 50
RESEND_SECONDS = 0.1
MIB = 1 << 20


async def echo(client: SessionClient) -> tuple[Session, str]:
    name = secrets.token_hex(8)
    return await client.session(f"/sessions/echo/{name}"), name


async def ending(client: SessionClient, name: str) -> tuple[int, str]:
    session = await client.session(f"/sessions/ended/{name}")
    told = json.loads(await session.said())
    session.close()
    return told["closeCode"], told["reason"]


async def datagrams(client: SessionClient) -> None:
    session, _ = await echo(client)
    missing = {f"datagram {n}".encode() for n in range(DATAGRAMS)}
    while missing:
        for message in missing:
            session.send_datagram(message)
        try:
            async with asyncio.timeout(RESEND_SECONDS):
                while missing:
                    missing.discard(await session.datagrams.get())
        except TimeoutError:
            pass
    session.close()


async def bidirectional(client: SessionClient) -> None:
    session, _ = await echo(client)
    stream = session.open()
    for message in ("one", "two"):
        stream.write(f"{message}\n".encode())
        expect("echo", await stream.line(), message)
    session.close()


async def unidirectional(client: SessionClient) -> None:
    session, _ = await echo(client)
    session.open(unidirectional=True).write(b"one way\n")
    expect("echo", await session.said(), "one way")
    session.close()


async def bidirectional_of_server(client: SessionClient) -> None:
    session = await client.session("/sessions/open")
    stream = await session.bidirectional.get()
    expect("greeting", await stream.line(), "from the server")
    stream.write(b"an answer\n")
    expect("what the server heard", await session.said(), "heard an answer")
    session.close()


async def there_and_back(client: SessionClient) -> None:
    session, _ = await echo(client)
    stream = session.open()
    body = bytes(at % 251 for at in range(MIB))
    stream.write(body)
    expect("equal", await stream.read(MIB) == body, True)
    session.close()


async def ends(client: SessionClient) -> None:
    session, _ = await echo(client)
    both = session.open()
    both.write(b"both ways", end=True)
    expect("echo", await both.all(), b"both ways")
    session.open(unidirectional=True).write(b"one way", end=True)
    expect("echo", await (await session.unidirectional.get()).all(), b"one way")
    session.close()


async def client_closes(client: SessionClient) -> None:
    session, name = await echo(client)
    session.close(42, "closed by the client ✓")
    expect("ending", await ending(client, name), (42, "closed by the client ✓"))


async def server_closes(client: SessionClient) -> None:
    session = await client.session("/sessions/close")
    session.open().write(b"close, please\n")
    expect("ending", await session.closed, (77, "closed by the server ✓"))


async def server_resets(client: SessionClient) -> None:
    session = await client.session("/sessions/resets")
    stream = session.open()
    stream.write(b"x\n")
    try:
        await stream.all()
        raise AssertionError("the stream ended in order")
    except StreamEnded as end:
        expect("reset", end.code, 5)
    expect("stop", await stream.stopped, 6)
    session.close()


async def client_resets(client: SessionClient) -> None:
    session = await client.session("/sessions/resets")
    session.open().write(b"x\n")
    stream = session.open()
    stream.write(b"x")
    expect("greeting", await stream.line(), "go")
    stream.abort(reset=7, stop=8)
    expect("what the server saw", await session.said(), '{"reset":7,"stop":8}')
    session.close()


async def refused(client: SessionClient) -> None:
    session = await client.session("/sessions/refuse")
    expect("status", (await session.answer)[":status"], "403")


async def protocol(client: SessionClient) -> None:
    session = await client.session("/sessions/protocol", wt_available_protocols='"first", "second"')
    expect("protocol", (await session.answer)["wt-protocol"], '"second"')
    session.close()


async def drained(client: SessionClient) -> None:
    session = await client.session("/sessions/drain")
    await session.draining.wait()
    session.close()


async def sessions_in_a_row(client: SessionClient) -> None:
    for n in range(SESSIONS):
        session, name = await echo(client)
        stream = session.open()
        stream.write(f"session {n}\n".encode())
        expect("echo", await stream.line(), f"session {n}")
        session.close(n, f"session {n}")
        expect("ending", await ending(client, name), (n, f"session {n}"))


CHECKS = {
    "datagrams both ways": datagrams,
    "a bidirectional stream of the client": bidirectional,
    "a unidirectional stream each way": unidirectional,
    "a bidirectional stream of the server": bidirectional_of_server,
    "1 MiB there and back": there_and_back,
    "the ends of streams": ends,
    "the close code of the client": client_closes,
    "the close code of the server": server_closes,
    "codes of resets and stops, by the server": server_resets,
    "codes of resets and stops, by the client": client_resets,
    "a refused session": refused,
    "an agreed protocol": protocol,
    "a session that the server winds up": drained,
    f"{SESSIONS} sessions in a row": sessions_in_a_row,
}


async def main(base: str) -> None:
    url = urlsplit(base)
    configuration = QuicConfiguration(
        alpn_protocols=H3_ALPN, verify_mode=ssl.CERT_NONE, max_datagram_frame_size=65536
    )
    async with connect(
        url.hostname, url.port, configuration=configuration, create_protocol=SessionClient
    ) as client:
        client.set_authority(url.netloc)
        await report_checks(CHECKS, client)


asyncio.run(main(sys.argv[1]))
