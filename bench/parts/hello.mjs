// A small answer, asked for as fast as it comes.
import { ratio } from '../goals.mjs';
import { requests } from '../load.mjs';
import { YARDSTICK } from '../peers.mjs';

const LOAD = '8x16';
const LAZY = ['node20-lazy', 'node26-lazy', 'bun-lazy', 'deno-lazy'];

function relative(figure, peer, text, bound) {
  return ratio('hello', figure, [LOAD, peer], [LOAD, YARDSTICK], { text, ...bound });
}

export const hello = {
  name: 'hello',
  title: 'Hello: a small GET',
  about:
    '8 connections × 16 requests under way; the handler reads method, path and one header and answers 11 bytes.',
  work: 'hello',
  peers: [
    ...['quinn', 'h3', 'core', ...LAZY, 'node20-own', 'node26-own', 'bun-own', 'deno-own'],
    ...[YARDSTICK, 'quic-go', 'currentspace', 'caddy'],
  ],
  loads: [{ name: LOAD, title: '8 × 16', connections: 8, streams: 16 }],
  measure: (server, load, settings) => requests(server, load, settings),
  figures: [
    { key: 'cpuMicros', title: 'CPU µs/request', digits: 2, better: 'less' },
    { key: 'perSecond', title: 'req/s', digits: 0, better: 'more' },
    { key: 'p50', title: 'p50 µs', digits: 0 },
    { key: 'p99', title: 'p99 µs', digits: 0 },
  ],
  goals: [
    relative('cpuMicros', 'core', "CPU, beside Bun's own", { most: 0.4 }),
    ...LAZY.map((peer) => relative('cpuMicros', peer, "CPU, lazy pair, beside Bun's own", { most: 0.65 })),
    relative('cpuMicros', 'bun-own', "CPU, own Request and Response, beside Bun's own", { most: 0.95 }),
    relative('cpuMicros', 'node26-own', "CPU, own Request and Response, beside Bun's own", { most: 1.5 }),
    ...LAZY.map((peer) =>
      relative('perSecond', peer, "requests/s, lazy pair, beside Bun's own", { least: 1.8 }),
    ),
  ],
};
