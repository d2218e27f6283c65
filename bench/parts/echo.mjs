// Datagrams and streams that are sent back.
import { ratio } from '../goals.mjs';
import { generate, generateAgainst } from '../load.mjs';

const OURS = ['node26-lazy', 'bun-lazy', 'deno-lazy'];
const KINDS = { raw: 'raw QUIC datagrams', http: 'HTTP datagrams', webtransport: 'WebTransport datagrams' };
const CONNECTIONS = 4;
/** Datagrams under way on a connection. */
const WINDOW = 64;
/** As many as the core still brings back without loss: what a datagram costs when waking a thread does not count. */
const FULL_WINDOW = 256;
/** Small ones show what a datagram costs, large ones what a byte does. */
const SIZES = { raw: [1200], http: [1200], webtransport: [64, 1200] };

const DATAGRAMS = [
  ...Object.entries(KINDS).flatMap(([kind, title]) =>
    SIZES[kind].map((size) => ({ name: `${kind}-${size}`, title: `${title} of ${size} bytes`, kind, size })),
  ),
  {
    name: 'webtransport-64-full',
    title: `WebTransport datagrams of 64 bytes, ${FULL_WINDOW} under way`,
    kind: 'webtransport',
    size: 64,
    window: FULL_WINDOW,
  },
];
const STREAMS = {
  name: 'streams',
  title: '4 WebTransport streams on each connection',
  kind: 'streams',
  size: 64,
};

function echoed(server, { kind, size, window = WINDOW }, seconds) {
  const url = `https://localhost:${server.port}/`;
  const shape = ['--connections', CONNECTIONS, '--window', window];
  return ['echo', kind, url, '--size', size, '--seconds', seconds, ...shape];
}

export const echo = {
  name: 'echo',
  title: 'Echo of datagrams and streams',
  about:
    '4 connections, 64 datagrams under way on each unless the row says otherwise, or 4 streams written as fast as they are taken. Lost are datagrams that 64 later ones have overtaken, or that were out for 200 ms.',
  work: 'echo',
  rounds: 3,
  peers: ['core', ...OURS, 'deno-own-quic', 'webtransport-go'],
  loads: [...DATAGRAMS, STREAMS],
  takes: ({ kind }, peer) => peer.echoes?.includes(kind) ?? true,
  async measure(server, load, { seconds, warmup }) {
    const timeoutMs = (seconds + 30) * 1000;
    await generate(echoed(server, load, warmup), { timeoutMs });
    const report = await generateAgainst(server, echoed(server, load, seconds), { timeoutMs });
    if (report.received === 0) throw new Error(report.failure ?? 'nothing came back');
    const perMegabyte = report.cpu && (report.cpu * 1e9) / report.bytes_received;
    if (load.kind === 'streams') return { rate: report.mb_per_s, perMegabyte };
    return {
      perSecond: report.per_s,
      rate: report.mb_per_s,
      lost: (100 * report.lost) / report.sent,
      cpuMicros: report.cpu && (report.cpu * 1e6) / report.received,
      perMegabyte,
      p50: report.p50_us,
      p99: report.p99_us,
    };
  },
  figures: [
    { key: 'perSecond', title: 'echoes/s', digits: 0 },
    { key: 'rate', title: 'MB/s', digits: 1 },
    { key: 'cpuMicros', title: 'CPU µs/echo', digits: 2 },
    { key: 'perMegabyte', title: 'CPU ms/MB', digits: 2 },
    { key: 'lost', title: 'lost %', digits: 2 },
    { key: 'p50', title: 'p50 µs', digits: 0 },
    { key: 'p99', title: 'p99 µs', digits: 0 },
  ],
  goals: OURS.flatMap((peer) =>
    DATAGRAMS.flatMap(({ name, title }) => [
      ratio('echo', 'perSecond', [name, peer], [name, 'core'], {
        text: `echoes/s, ${title}, beside the core`,
        least: 0.7,
      }),
      ratio('echo', 'cpuMicros', [name, peer], [name, 'core'], {
        text: `CPU an echo, ${title}, beside the core`,
        most: 2,
      }),
    ]),
  ),
};
