// A JSON document there and back.
import { ratio } from '../goals.mjs';
import { requests } from '../load.mjs';
import { YARDSTICK } from '../peers.mjs';

const LOAD = '8x16';
const OURS = ['node20-lazy', 'node26-lazy', 'bun-lazy', 'deno-lazy'];
const fields = Array.from({ length: 8 }, (_, index) => [
  '--header',
  `x-field-${index + 1}:value-${index + 1}`,
]);
const flags = ['--method', 'POST', '--json', '1024', '--echoes', '--header', 'content-type:application/json'];

export const post = {
  name: 'post',
  title: 'JSON echo: a POST of 1 KB',
  about:
    '8 connections × 16 requests under way; the handler reads eight headers and the document and answers the document, written anew. The load compares every byte.',
  work: 'json',
  peers: [
    'core',
    ...OURS,
    'node26-own',
    'bun-own',
    'deno-own',
    YARDSTICK,
    'quic-go',
    'currentspace',
    'caddy',
  ],
  loads: [
    {
      name: LOAD,
      title: '8 × 16',
      path: '/json',
      connections: 8,
      streams: 16,
      flags: [...flags, ...fields.flat()],
    },
  ],
  measure: (server, load, settings) => requests(server, load, settings),
  figures: [
    { key: 'perSecond', title: 'req/s', digits: 0, better: 'more' },
    { key: 'cpuMicros', title: 'CPU µs/request', digits: 2, better: 'less' },
    { key: 'p50', title: 'p50 µs', digits: 0 },
    { key: 'p99', title: 'p99 µs', digits: 0 },
  ],
  goals: [
    ...OURS.map((peer) =>
      ratio('post', 'perSecond', [LOAD, peer], [LOAD, YARDSTICK], {
        text: "requests/s, beside Bun's own",
        least: 1.5,
      }),
    ),
    ratio('post', 'perSecond', [LOAD, 'node26-lazy'], [LOAD, 'caddy'], {
      text: 'requests/s, beside Caddy in front of Node',
      least: 10,
    }),
  ],
};
