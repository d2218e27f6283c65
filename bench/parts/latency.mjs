// One request at a time: what a hop between threads costs shows here.
import { ratio } from '../goals.mjs';
import { requests } from '../load.mjs';
import { YARDSTICK } from '../peers.mjs';

const LOADS = [1, 8].map((connections) => ({
  name: `${connections}x1`,
  title: `${connections} × 1`,
  connections,
  streams: 1,
}));
const OURS = ['node20-lazy', 'node26-lazy', 'bun-lazy', 'deno-lazy'];

export const latency = {
  name: 'latency',
  title: 'Latency: one request at a time',
  about: '1 or 8 connections, each with one request under way.',
  work: 'hello',
  peers: ['quinn', 'core', ...OURS, YARDSTICK, 'quic-go', 'currentspace'],
  loads: LOADS,
  measure: (server, load, settings) => requests(server, load, settings),
  figures: [
    { key: 'p50', title: 'p50 µs', digits: 0, better: 'less' },
    { key: 'p99', title: 'p99 µs', digits: 0 },
    { key: 'cpuMicros', title: 'CPU µs/request', digits: 1, better: 'less' },
    { key: 'perSecond', title: 'req/s', digits: 0 },
  ],
  goals: LOADS.flatMap(({ name, title }) =>
    OURS.flatMap((peer) => [
      ratio('latency', 'p50', [name, peer], [name, YARDSTICK], {
        text: `p50 at ${title}, beside Bun's own`,
        most: 1.1,
      }),
      ratio('latency', 'cpuMicros', [name, peer], [name, YARDSTICK], {
        text: `CPU at ${title}, beside Bun's own`,
        most: 1.2,
      }),
    ]),
  ),
};
