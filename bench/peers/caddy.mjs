// Caddy in front of a Node HTTP server that does the benchmark's work: `caddy.mjs --work json --certificate DIR CADDY` with the
// program. Prints {"port":N}; ends at SIGTERM, and Caddy with it.
import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { join, resolve } from 'node:path';
import process from 'node:process';
import { text } from 'node:stream/consumers';
import { parseArgs } from 'node:util';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { work: { type: 'string' }, certificate: { type: 'string', default: '.' } },
});
const FIELDS = Array.from({ length: 8 }, (_, index) => `x-field-${index + 1}`);

/** The work of handler.mjs as Node's own server has it. */
async function answer(request, response) {
  if (values.work === 'hello') {
    response.setHeader('content-type', 'text/plain');
    response.end('hello world');
    return;
  }
  if (FIELDS.some((name) => request.headers[name] === undefined)) {
    response.writeHead(400).end('a field is missing');
    return;
  }
  const document = JSON.parse(await text(request));
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify(document));
}

const backend = createServer((request, response) => {
  answer(request, response).catch(() => response.writeHead(400).end());
});
backend.listen(0, '127.0.0.1');
await once(backend, 'listening');

/** A port that nobody has at the moment: Caddy does not say which one it was given. */
async function freePort() {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  return port;
}

const port = await freePort();
const upstream = { handler: 'reverse_proxy', upstreams: [{ dial: `127.0.0.1:${backend.address().port}` }] };
const pem = (name) => resolve(join(values.certificate, name));
const config = {
  admin: { disabled: true },
  apps: {
    http: {
      servers: {
        bench: {
          listen: [`127.0.0.1:${port}`],
          routes: [{ handle: [upstream] }],
          tls_connection_policies: [{}],
          automatic_https: { disable: true },
        },
      },
    },
    tls: { certificates: { load_files: [{ certificate: pem('cert.pem'), key: pem('key.pem') }] } },
  },
};
const home = { XDG_DATA_HOME: values.certificate, XDG_CONFIG_HOME: values.certificate };
const caddy = spawn(positionals[0], ['run', '--config', '-'], {
  env: { ...process.env, ...home },
  stdio: ['pipe', 'ignore', 'pipe'],
});
caddy.stdin.end(JSON.stringify(config));
process.on('SIGTERM', () => caddy.kill('SIGTERM'));
caddy.on('exit', () => process.exit(0));
let log = '';
caddy.stderr.setEncoding('utf8');
caddy.stderr.on('data', (more) => {
  if (log === undefined) return;
  log += more;
  if (!log.includes('serving initial configuration')) return;
  log = undefined;
  console.log(JSON.stringify({ port }));
});
