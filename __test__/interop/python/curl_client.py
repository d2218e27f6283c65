"""curl_cffi (libcurl with ngtcp2 and nghttp3): `python curl_client.py <url>`."""

import asyncio
import sys

from curl_cffi import CurlHttpVersion
from curl_cffi.requests import AsyncSession

from checks import Answer, run_checks


async def main(base: str) -> None:
    async with AsyncSession(verify=False, http_version=CurlHttpVersion.V3ONLY, max_clients=200) as session:

        async def request(method: str, path: str, body: bytes | None) -> Answer:
            response = await session.request(method, base.rstrip("/") + path, data=body)
            if response.http_version != CurlHttpVersion.V3:
                raise AssertionError(f"the answer came over version {response.http_version}")
            headers = {name.lower(): value for name, value in response.headers.items()}
            return Answer(response.status_code, headers, response.content)

        await run_checks(request)


asyncio.run(main(sys.argv[1]))
