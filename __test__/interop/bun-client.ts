// Bun's own fetch over HTTP/3 (lsquic): `bun bun-client.js <url>`.

import process from 'node:process';
import { runChecks } from './checks.js';

const base = process.argv[2] ?? '';

await runChecks(async (method, path, body) => {
  const init = {
    method,
    ...(body === undefined ? {} : { body }),
    protocol: 'http3',
    tls: { rejectUnauthorized: false },
  };
  const response = await fetch(new URL(path, base), init as RequestInit);
  return {
    status: response.status,
    header: (name) => response.headers.get(name),
    body: new Uint8Array(await response.arrayBuffer()),
  };
});
