"""curl_cffi (libcurl with ngtcp2 and nghttp3): `python curl_client.py <url>`."""

import asyncio
import contextlib
import sys

from curl_cffi import CurlHttpVersion
from curl_cffi.requests import AsyncSession

from checks import Answer, run_checks


class Client:
    skipped = {"trailers": "curl_cffi hands no trailers over"}

    def __init__(self, session: AsyncSession, base: str) -> None:
        self._session = session
        self._base = base.rstrip("/")

    async def request(self, method: str, path: str, body: bytes | None) -> Answer:
        response = await self._session.request(method, self._base + path, data=body)
        if response.http_version != CurlHttpVersion.V3:
            raise AssertionError(f"the answer came over version {response.http_version}")
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status_code, headers, response.content)

    async def cancel(self, path: str) -> None:
        begun = asyncio.Event()
        request = self._session.request("GET", self._base + path, content_callback=lambda _: begun.set())
        task = asyncio.ensure_future(request)
        await begun.wait()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    async def post_with_trailer(self, path: str, body: bytes, checksum: str) -> str | None:
        raise NotImplementedError


async def main(base: str) -> None:
    async with AsyncSession(verify=False, http_version=CurlHttpVersion.V3ONLY, max_clients=200) as session:
        await run_checks(Client(session, base))


asyncio.run(main(sys.argv[1]))
