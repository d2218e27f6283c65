"""The checks of `checks.ts` for clients written in Python."""

import asyncio
import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

MANY = 100
CHECK_SECONDS = 20


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes



class Client(Protocol):
    """What a client can do; what it cannot do is named in `skipped`, with the reason."""

    skipped: dict[str, str]

    async def request(self, method: str, path: str, body: bytes | None) -> Answer:
        """Sends a request and reads the whole answer."""

    async def cancel(self, path: str) -> None:
        """Begins a GET, reads something of the answer and gives it up."""

    async def post_with_trailer(self, path: str, body: bytes, checksum: str) -> str | None:
        """Sends a body with the trailer `x-sum`, and returns the one of the answer."""


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def expect(what: str, actual: object, expected: object) -> None:
    if actual != expected:
        raise AssertionError(f"{what} is {actual!r}, expected {expected!r}")


async def get(client: Client) -> None:
    answer = await client.request("GET", "/hello", None)
    expect("status", answer.status, 200)
    expect("body", answer.body, b"hello")
    expect("type", answer.headers["content-type"].startswith("text/plain"), True)


async def post(client: Client) -> None:
    body = bytes((at * 7) & 0xFF for at in range(100_000))
    answer = await client.request("POST", "/echo", body)
    expect("status", answer.status, 200)
    expect("hash", sha256(answer.body), sha256(body))


async def download(client: Client) -> None:
    answer = await client.request("GET", "/download", None)
    expected = bytes(at % 251 for at in range(1 << 20))
    expect("length", len(answer.body), len(expected))
    expect("hash", sha256(answer.body), sha256(expected))


async def head(client: Client) -> None:
    answer = await client.request("HEAD", "/hello", None)
    expect("status", answer.status, 200)
    expect("content-length", answer.headers["content-length"], "5")
    expect("body", answer.body, b"")


async def not_found(client: Client) -> None:
    expect("status", (await client.request("GET", "/nowhere", None)).status, 404)


async def many(client: Client) -> None:
    answers = await asyncio.gather(*(client.request("GET", f"/number/{n}", None) for n in range(MANY)))
    expect("bodies", [answer.body for answer in answers], [str(n).encode() for n in range(MANY)])


async def stream(client: Client) -> None:
    answer = await client.request("GET", "/stream", None)
    expect("body", answer.body, b"".join(b"%d\n" % n for n in range(20)))


async def interim(client: Client) -> None:
    answer = await client.request("GET", "/hint", None)
    expect("status", answer.status, 200)
    expect("body", answer.body, b"hinted")


async def trailers(client: Client) -> None:
    expect("trailer", await client.post_with_trailer("/trailers", b"content", "f00d"), "f00d")


async def cancelled(client: Client) -> None:
    async def aborted() -> int:
        return int((await client.request("GET", "/aborted", None)).body)

    before = await aborted()
    await client.cancel("/endless")
    while await aborted() == before:
        await asyncio.sleep(0.02)


CHECKS = {
    "GET": get,
    "POST of 100 KB": post,
    "download of 1 MiB": download,
    "HEAD": head,
    "404": not_found,
    f"{MANY} requests at once": many,
    "streamed answer": stream,
    "interim answer": interim,
    "trailers": trailers,
    "cancelled download": cancelled,
}


async def run_checks(client: Client) -> None:
    """Runs the checks of requests but those in `client.skipped`."""
    await report_checks(CHECKS, client, client.skipped)


async def report_checks(checks: dict[str, Callable], client: object, skipped: dict[str, str] | None = None) -> None:
    """Runs every check but those in `skipped`, which says why, and prints a line for each."""
    for name, check in checks.items():
        started = time.monotonic()
        report: dict[str, object] = {"check": name, "ok": True}
        try:
            if skipped is not None and name in skipped:
                report["skipped"] = skipped[name]
            else:
                await asyncio.wait_for(check(client), CHECK_SECONDS)
        except Exception as error:  # noqa: BLE001: whatever fails is the result
            report |= {"ok": False, "error": f"{type(error).__name__}: {error}"}
        report["ms"] = round((time.monotonic() - started) * 1000)
        print(json.dumps(report), flush=True)
