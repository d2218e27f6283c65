// Bun's own fetch over HTTP/3 (lsquic): `bun bun-client.js <url>`.

import process from 'node:process';
import { runChecks } from './checks.js';

const base = process.argv[2] ?? '';

function get(path: string, init: object = {}): Promise<Response> {
  const how = { ...init, protocol: 'http3', tls: { rejectUnauthorized: false } };
  return fetch(new URL(path, base), how as RequestInit);
}

await runChecks({
  async request(method, path, body) {
    const response = await get(path, { method, ...(body === undefined ? {} : { body }) });
    return {
      status: response.status,
      header: (name) => response.headers.get(name),
      body: new Uint8Array(await response.arrayBuffer()),
    };
  },
  async cancel(path) {
    const controller = new AbortController();
    const response = await get(path, { signal: controller.signal });
    await response.body?.getReader().read();
    controller.abort();
  },
  skipped: { trailers: 'fetch knows no trailers' },
});
