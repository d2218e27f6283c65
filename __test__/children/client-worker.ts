// A client in a worker of `client-scenario.ts`, which says when its requests are under way.

import { parentPort, workerData } from 'node:worker_threads';
import { H3Client } from 'trilane';

const { url, hash } = workerData as { url: string; hash: Uint8Array };
const client = new H3Client({ serverCertificateHashes: [hash] });
void client.fetch(new URL('/never', url));
const response = await client.fetch(new URL('/endless', url));
const reader = response.body?.getReader();
await reader?.read();
parentPort?.postMessage('under way');
for (;;) await reader?.read();
