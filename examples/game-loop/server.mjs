// A small game: who collects the most sparks. The server moves the world 30 times a second; datagrams carry the keys of
// players one way and the state of the world the other.
//
//   node examples/game-loop/server.mjs        PORT=8080 by default for the page
//
// Every datagram has all of what it is about, so none is worth sending again: the newest wins.

import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createH3Server } from 'trilane';
import { decodeInput, encodeSnapshot, TICKS_PER_SECOND } from './protocol.js';
import { World } from './world.mjs';

const HOST = '127.0.0.1';
const MAX_PLAYERS = 32;
/** What sessions are closed with. */
const FULL = 1;
const CLOSING = 2;
const FILES = {
  '/': ['index.html', 'text/html; charset=utf-8'],
  '/client.js': ['client.js', 'text/javascript'],
  '/arena.js': ['arena.js', 'text/javascript'],
  '/protocol.js': ['protocol.js', 'text/javascript'],
  '/style.css': ['style.css', 'text/css'],
};

const world = new World();
/** Sessions by the id of their player. */
const sessions = new Map();

// Browsers come by TCP first: the page learns here where the session is, and the hash of its certificate.
const pages = createServer((request, response) => {
  servePage(request, response).catch((error) => response.destroy(error));
});
await new Promise((resolve, reject) => {
  pages.once('error', reject).listen(Number(process.env.PORT ?? 8080), HOST, resolve);
});
const { port } = pages.address();

const server = createH3Server({
  hostname: HOST,
  drainTimeoutMs: 2000, // there is nothing to finish when the game stops
  limits: {
    idleTimeoutMs: 10_000, // a player who vanishes leaves soon
    datagramMaxAgeMs: 100, // a state that could not be sent by then is worth nothing any more
  },
  routes: [
    {
      method: 'CONNECT',
      pattern: '/play',
      // Pages of other sites may not open sessions here; programs, which have no origin, may.
      allowedOrigins: [`http://${HOST}:${port}`, `http://localhost:${port}`],
      webtransport: play,
    },
  ],
});
console.log(`Open http://${HOST}:${port}/ and use the arrow keys. Ctrl-C stops it.`);

async function play(session) {
  if (sessions.size >= MAX_PLAYERS) {
    session.close(FULL, 'the game is full');
    return;
  }
  const player = world.join();
  sessions.set(player.id, session);
  session.closed.catch(() => {}).then(() => leave(player));
  for await (const datagram of session.datagrams.readable) {
    const input = decodeInput(datagram);
    // Datagrams may overtake one another: what is older than the last one is out of date.
    if (input !== null && input.number > player.lastInput) {
      player.lastInput = input.number;
      player.keys = input.keys;
    }
  }
}

function leave({ id }) {
  sessions.delete(id);
  world.leave(id);
}

/** Timers are late now and then: the world makes up for it, so that it is always as old as the clock says. */
const started = performance.now();
const loop = setInterval(() => {
  const due = Math.floor(((performance.now() - started) / 1000) * TICKS_PER_SECOND);
  if (due - world.tick > TICKS_PER_SECOND) world.tick = due - 1; // the machine slept
  while (world.tick < due) world.step();
  for (const [id, session] of sessions) session.sendDatagram(encodeSnapshot(world, id));
}, 1000 / TICKS_PER_SECOND);

async function servePage(request, response) {
  if (request.url === '/session.json') {
    const url = new URL('/play', server.url).href;
    const certificateHash = Buffer.from(server.certificateHash).toString('base64');
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ url, certificateHash }));
    return;
  }
  const file = FILES[request.url];
  if (file === undefined) {
    response.writeHead(404).end();
    return;
  }
  const [name, type] = file;
  response.setHeader('content-type', type);
  response.end(await readFile(new URL(name, import.meta.url)));
}

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, stop);

async function stop() {
  clearInterval(loop);
  pages.close();
  pages.closeAllConnections();
  for (const session of sessions.values()) session.close(CLOSING, 'the server stops');
  await server.stop();
  server.close();
}
