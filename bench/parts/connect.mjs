// Short connections: a whole handshake, one request, a close.
import { ratio } from '../goals.mjs';
import { generate, generateAgainst } from '../load.mjs';
import { YARDSTICK } from '../peers.mjs';

const LOAD = 'handshakes';
const AT_ONCE = 8;
const OURS = ['node26-lazy', 'bun-lazy', 'deno-lazy'];

export const connect = {
  name: 'connect',
  title: 'Handshakes',
  about: `${AT_ONCE} at once, each without resumption, with one request, then closed.`,
  work: 'many',
  rounds: 3,
  peers: ['quinn', 'core', ...OURS, YARDSTICK, 'quic-go'],
  loads: [{ name: LOAD, title: `${AT_ONCE} at once` }],
  async measure(server, _load, { seconds, warmup }) {
    const url = `https://localhost:${server.port}/hello`;
    const timeoutMs = (seconds + 30) * 1000;
    const connections = (duration) => ['connect', url, '--seconds', duration, '--at-once', AT_ONCE];
    await generate(connections(warmup), { timeoutMs });
    const report = await generateAgainst(server, connections(seconds), { timeoutMs });
    if (report.connections === 0) throw new Error(`no connection: ${JSON.stringify(report.errors_by_kind)}`);
    return {
      perSecond: report.per_s,
      cpuMicros: report.cpu && (report.cpu * 1e6) / report.connections,
      p50: report.p50_us,
      errors: report.errors,
    };
  },
  figures: [
    { key: 'perSecond', title: 'handshakes/s', digits: 0, better: 'more' },
    { key: 'cpuMicros', title: 'CPU µs each', digits: 0, better: 'less' },
    { key: 'p50', title: 'p50 µs', digits: 0 },
  ],
  goals: OURS.map((peer) =>
    ratio('connect', 'perSecond', [LOAD, peer], [LOAD, 'quic-go'], {
      text: 'handshakes/s, beside quic-go',
      least: 1,
    }),
  ),
};
