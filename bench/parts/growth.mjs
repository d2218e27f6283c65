// Whether a request costs the same with many connections, and with many streams.
import { spread } from '../goals.mjs';
import { requests } from '../load.mjs';

const shape = (connections, streams) => ({
  name: `${connections}x${streams}`,
  title: `${connections} × ${streams}`,
  connections,
  streams,
});
const CONNECTIONS_PER_SECOND = 500;
// As many under way, over ever more connections; then ever more streams on each.
const CONNECTIONS = ['1x100', '10x10', '100x1', '1000x1'];
const STREAMS = ['10x1', '10x10', '10x100'];

export const growth = {
  name: 'growth',
  title: 'Growth: CPU for a request as load grows',
  about: 'connections × requests under way on each.',
  work: 'many',
  rounds: 3,
  peers: ['quinn', 'core', 'node26-lazy'],
  loads: [shape(1, 100), shape(10, 1), shape(10, 10), shape(10, 100), shape(100, 1), shape(1000, 1)],
  // What a new connection still has to do, finding the path's MTU above all, is over by then.
  measure: (server, load, settings) =>
    requests(server, load, {
      ...settings,
      warmup: settings.warmup + load.connections / CONNECTIONS_PER_SECOND,
    }),
  figures: [
    { key: 'cpuMicros', title: 'CPU µs/request', digits: 2, better: 'less' },
    { key: 'perSecond', title: 'req/s', digits: 0 },
  ],
  goals: ['core', 'node26-lazy'].flatMap((peer) => [
    spread('growth', 'cpuMicros', CONNECTIONS, peer, {
      text: 'CPU, highest over lowest, 1 to 1,000 connections',
      most: 1.1,
    }),
    spread('growth', 'cpuMicros', STREAMS, peer, {
      text: 'CPU, highest over lowest, 1 to 100 streams',
      most: 1.1,
    }),
  ]),
};
