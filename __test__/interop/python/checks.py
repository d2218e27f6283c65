"""The checks of `checks.ts` for clients written in Python."""

import asyncio
import hashlib
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

MANY = 100
CHECK_SECONDS = 20


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


Client = Callable[[str, str, bytes | None], Awaitable[Answer]]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def expect(what: str, actual: object, expected: object) -> None:
    if actual != expected:
        raise AssertionError(f"{what} is {actual!r}, expected {expected!r}")


async def get(request: Client) -> None:
    answer = await request("GET", "/hello", None)
    expect("status", answer.status, 200)
    expect("body", answer.body, b"hello")
    expect("type", answer.headers["content-type"].startswith("text/plain"), True)


async def post(request: Client) -> None:
    body = bytes((at * 7) & 0xFF for at in range(100_000))
    answer = await request("POST", "/echo", body)
    expect("status", answer.status, 200)
    expect("hash", sha256(answer.body), sha256(body))


async def download(request: Client) -> None:
    answer = await request("GET", "/download", None)
    expected = bytes(at % 251 for at in range(1 << 20))
    expect("length", len(answer.body), len(expected))
    expect("hash", sha256(answer.body), sha256(expected))


async def head(request: Client) -> None:
    answer = await request("HEAD", "/hello", None)
    expect("status", answer.status, 200)
    expect("content-length", answer.headers["content-length"], "5")
    expect("body", answer.body, b"")


async def not_found(request: Client) -> None:
    expect("status", (await request("GET", "/nowhere", None)).status, 404)


async def many(request: Client) -> None:
    answers = await asyncio.gather(*(request("GET", f"/number/{n}", None) for n in range(MANY)))
    expect("bodies", [answer.body for answer in answers], [str(n).encode() for n in range(MANY)])


async def stream(request: Client) -> None:
    answer = await request("GET", "/stream", None)
    expect("body", answer.body, b"".join(b"%d\n" % n for n in range(20)))


CHECKS = {
    "GET": get,
    "POST of 100 KB": post,
    "download of 1 MiB": download,
    "HEAD": head,
    "404": not_found,
    f"{MANY} requests at once": many,
    "streamed answer": stream,
}


async def run_checks(request: Client, skipped: dict[str, str] | None = None) -> None:
    """Runs every check but those in `skipped`, which says why, and prints a line for each."""
    for name, check in CHECKS.items():
        started = time.monotonic()
        report: dict[str, object] = {"check": name, "ok": True}
        try:
            if skipped is not None and name in skipped:
                report["skipped"] = skipped[name]
            else:
                await asyncio.wait_for(check(request), CHECK_SECONDS)
        except Exception as error:  # noqa: BLE001: whatever fails is the result
            report |= {"ok": False, "error": f"{type(error).__name__}: {error}"}
        report["ms"] = round((time.monotonic() - started) * 1000)
        print(json.dumps(report), flush=True)
