// Bun's own HTTP/3 under the benchmark's handler: `bun-own.ts DIR`, with cert.pem and key.pem in DIR. Prints {"port":N}.
import { join } from 'node:path';

import { file, serve } from 'bun';

import { hello } from './handler.mjs';

const directory = process.argv[2] ?? '.';
const server = serve({
  port: 0,
  hostname: '127.0.0.1',
  http3: true,
  tls: { cert: file(join(directory, 'cert.pem')), key: file(join(directory, 'key.pem')) },
  fetch: hello(Response),
});
console.log(JSON.stringify({ port: server.port }));
process.on('SIGTERM', () => process.exit(0));
