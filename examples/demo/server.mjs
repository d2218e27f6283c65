// The demo that `npm start` runs: four routes, a fallback, and the commands to try them.
//
//   PORT=4433 HOST=localhost node examples/demo/server.mjs      PORT=0 takes any free port

import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { createH3Server } from 'trilane';

const DEFAULT_PORT = 4433;
const LOAD_GENERATOR = 'target/release/peer';

const server = listen(chosenPort());
printWelcome(server);
stopOnSignals(server);

function listen(port) {
  try {
    return createH3Server({
      port,
      ...(process.env.HOST ? { hostname: process.env.HOST } : {}),
      routes: [
        { method: 'GET', pattern: '/', fetch: () => new Response('hello over HTTP/3\n') },
        {
          method: 'GET',
          pattern: '/users/:id',
          fetch: (request) => Response.json({ id: request.params.id }),
        },
        { method: 'POST', pattern: '/echo', fetch: echo },
      ],
      fetch: (request) => new Response(`no route for ${new URL(request.url).pathname}\n`, { status: 404 }),
    });
  } catch (error) {
    console.error(`The demo cannot start: ${error.message}.`);
    console.error('PORT=4434 npm start takes another port, PORT=0 npm start any free one.');
    process.exit(1);
  }
}

async function echo(request) {
  const contentType = request.headers.get('content-type') ?? 'application/octet-stream';
  return new Response(await request.arrayBuffer(), { headers: { 'content-type': contentType } });
}

function chosenPort() {
  const text = process.env.PORT ?? String(DEFAULT_PORT);
  const port = Number(text);
  if (!/^\d+$/.test(text) || port > 65_535) {
    console.error(`PORT must be a number from 0 to 65535, not "${text}".`);
    process.exit(1);
  }
  return port;
}

function printWelcome({ port, certificateHash }) {
  const url = `https://localhost:${port}`;
  const hash = Buffer.from(certificateHash);
  console.log(`
trilane listens on ${url} (UDP, HTTP/3 only)

Its certificate was made just now. SHA-256, for serverCertificateHashes in a browser or for pinning:
  base64  ${hash.toString('base64')}
  hex     ${hash.toString('hex')}

Try it from another terminal:
${tries(url)
  .map((line) => `  ${line}`)
  .join('\n')}

Ctrl-C stops it: requests that are under way finish first.`);
}

function tries(url) {
  const curl = curlSpeaksHttp3()
    ? [
        `curl --http3-only -k ${url}/`,
        `curl --http3-only -k ${url}/users/42`,
        `curl --http3-only -k --data 'any bytes' ${url}/echo`,
      ]
    : [];
  const own = [
    `node bin/trilane.mjs get --insecure ${url}/users/42`,
    `node bin/trilane.mjs get --insecure --data 'any bytes' ${url}/echo`,
  ];
  const bun = [bunFetch(`${url}/users/42`)];
  const root = fileURLToPath(new URL('../..', import.meta.url));
  const load = existsSync(`${root}/${LOAD_GENERATOR}`)
    ? [`${LOAD_GENERATOR} load ${url}/ --connections 8 --streams 16 --seconds 3`]
    : [];
  return [...own, ...curl, ...bun, ...load];
}

function bunFetch(url) {
  const options = "{protocol:'http3',tls:{rejectUnauthorized:false}}";
  return `npx bun -e "console.log(await (await fetch('${url}',${options})).text())"`;
}

function curlSpeaksHttp3() {
  const result = spawnSync('curl', ['--version'], { encoding: 'utf8' });
  return result.status === 0 && /\bHTTP3\b/.test(result.stdout);
}

/** The first signal lets requests finish; a second one does not wait for them. */
function stopOnSignals(running) {
  let stopping = false;
  const stop = async (signal) => {
    if (stopping) {
      console.log('Stopping at once.');
      process.exit(1);
    }
    stopping = true;
    console.log(`\n${signal}: finishing what is under way (once more stops at once)`);
    await running.stop();
    running.close();
    console.log('Stopped.');
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
}
