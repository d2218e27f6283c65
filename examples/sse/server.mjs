// Server-sent events: a thermometer that is read once a second, and a page that shows it.
//
//   node examples/sse/server.mjs        PORT=4433 by default; CERT and KEY name PEM files, for a browser
//
// A client that comes back names the last event it has (Last-Event-ID) and gets what it missed.

import { createH3Server, fileResponse, Response } from 'trilane';
import { Thermometer } from './thermometer.mjs';

const thermometer = new Thermometer();

const server = createH3Server({
  port: Number(process.env.PORT ?? 4433),
  certPath: process.env.CERT,
  keyPath: process.env.KEY,
  routes: [
    { method: 'GET', pattern: '/', fetch: () => fileResponse(new URL('index.html', import.meta.url)) },
    { method: 'GET', pattern: '/readings', fetch: readings },
  ],
});
console.log(`listening on ${server.url}`);

function readings(request) {
  const last = Number(request.headers.get('last-event-id'));
  return new Response(events(thermometer.since(last)), {
    headers: { 'content-type': 'text/event-stream', 'cache-control': 'no-store' },
  });
}

/** Read as fast as the client takes it; ended when the client goes away. */
async function* events(readings) {
  yield 'retry: 1000\n\n'; // how long a client waits before it comes back, in milliseconds
  for await (const { id, ...reading } of readings) {
    yield `id: ${id}\nevent: reading\ndata: ${JSON.stringify(reading)}\n\n`;
  }
}

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, stop);

async function stop() {
  thermometer.stop(); // ends the event streams; stop() would wait `drainTimeoutMs` for them
  await server.stop();
  server.close();
}
