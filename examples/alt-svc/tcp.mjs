// HTTP/1.1 and HTTP/2 over TCP, by what each runtime has. Every `listen` takes a fetch handler and resolves with the port and
// a way to stop.

import { createSecureServer } from 'node:http2';
import { Readable } from 'node:stream';

/** node:http2, on Node, Bun and Deno. */
async function node({ port, cert, key, fetch }) {
  const server = createSecureServer({ cert, key, allowHTTP1: true }, (request, response) => {
    answer(request, response, fetch).catch((error) => {
      console.error(error);
      response.stream?.close();
      response.destroy?.();
    });
  });
  const sessions = new Set();
  server.on('session', (session) => {
    sessions.add(session);
    session.once('close', () => sessions.delete(session));
  });
  await new Promise((resolve, reject) => server.once('error', reject).listen(port, resolve));
  return {
    port: server.address().port,
    stop: () => {
      server.close();
      // Browsers keep theirs open for long.
      for (const session of sessions) session.destroy();
    },
  };
}

/** From node:http2's request and response to those of fetch, and back. */
async function answer(request, response, fetch) {
  const fields = Object.entries(request.headers).filter(([name]) => !name.startsWith(':'));
  const hasBody = request.method !== 'GET' && request.method !== 'HEAD';
  const given = await fetch(
    new Request(`https://${request.authority ?? request.headers.host}${request.url}`, {
      method: request.method,
      headers: fields.flatMap(([name, value]) => [value].flat().map((one) => [name, one])),
      ...(hasBody && { body: Readable.toWeb(request), duplex: 'half' }),
    }),
  );
  const headers = Object.fromEntries(given.headers);
  const cookies = given.headers.getSetCookie();
  response.writeHead(given.status, cookies.length > 0 ? { ...headers, 'set-cookie': cookies } : headers);
  if (given.body === null) response.end();
  else Readable.fromWeb(given.body).pipe(response);
}

function bun({ port, cert, key, fetch }) {
  const server = globalThis.Bun.serve({ port, tls: { cert, key }, fetch });
  return { port: server.port, stop: () => server.stop(true) };
}

function deno({ port, cert, key, fetch }) {
  const stopped = new AbortController();
  const { signal } = stopped;
  const options = { port, cert, key, hostname: '0.0.0.0', signal, onListen: () => undefined };
  const server = globalThis.Deno.serve(options, fetch);
  return { port: server.addr.port, stop: () => stopped.abort() };
}

export const TCP_SERVERS = { node, bun, deno };
