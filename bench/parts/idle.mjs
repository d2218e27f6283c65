// Memory: connections that are silent, and connections that come and go.
import { startServer } from '../child.mjs';
import { rssMiB } from '../cpu.mjs';
import { absolute, difference } from '../goals.mjs';
import { generate, requests } from '../load.mjs';
import { peer } from '../paths.mjs';
import { YARDSTICK } from '../peers.mjs';

const MIB = 2 ** 20;
const SETTLE_MS = 500;
const LOAD = 'idle';
const OURS = ['core', 'node26-lazy', 'bun-lazy', 'deno-lazy'];
// 5,000 a minute.
const CHURN_PER_SECOND = 83;
const CHURN = 'churn';
const WARMUP = { connections: 8, streams: 16 };

function pause(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

function resident(server) {
  const mebibytes = rssMiB(server.pid);
  if (mebibytes === undefined) throw new Error('memory is read from /proc, which is not here');
  return mebibytes * MIB;
}

export const idle = {
  name: 'idle',
  title: 'Idle connections',
  about: 'Memory of the server for each connection that has had one answer and is silent since.',
  work: 'many',
  rounds: 1,
  peers: ['quinn', ...OURS, YARDSTICK, 'quic-go'],
  loads: [{ name: LOAD, title: 'idle' }],
  async measure(server, _load, { idleConnections, warmup }) {
    await requests(server, WARMUP, { seconds: warmup, warmup });
    const before = resident(server);
    const url = `https://localhost:${server.port}/hello`;
    const command = [peer(), 'idle', url, '--connections', String(idleConnections)];
    const holder = await startServer(command, { core: 1, readyWithinMs: 60_000 });
    try {
      await pause(SETTLE_MS);
      const { open } = holder.report;
      if (open === 0) throw new Error('no connection was opened');
      return { open, bytes: (resident(server) - before) / open };
    } finally {
      await holder.end();
    }
  },
  figures: [
    { key: 'bytes', title: 'bytes each', digits: 0, better: 'less' },
    { key: 'open', title: 'connections', digits: 0 },
  ],
  goals: OURS.map((name) =>
    difference('idle', 'bytes', [LOAD, name], [LOAD, 'quinn'], {
      text: "bytes for an idle connection, above quinn's own state",
      most: 12_288,
      unit: 'bytes',
    }),
  ),
};

export const churn = {
  name: 'churn',
  title: 'Connections that come and go',
  about:
    '5,000 short connections a minute; how much memory the server has at the end more than after a third of the time.',
  work: 'many',
  rounds: 1,
  peers: ['core', 'node26-lazy', 'bun-lazy'],
  loads: [{ name: CHURN, title: '5,000 a minute' }],
  async measure(server, _load, { churnSeconds, warmup }) {
    await requests(server, WARMUP, { seconds: warmup, warmup });
    const url = `https://localhost:${server.port}/hello`;
    const come = (seconds) =>
      generate(['connect', url, '--seconds', seconds, '--rate', CHURN_PER_SECOND], {
        timeoutMs: (seconds + 30) * 1000,
      });
    const first = await come(churnSeconds / 3);
    const before = resident(server);
    const rest = await come((churnSeconds * 2) / 3);
    return {
      connections: first.connections + rest.connections,
      errors: first.errors + rest.errors,
      grown: (resident(server) - before) / MIB,
      resident: before / MIB,
    };
  },
  figures: [
    { key: 'grown', title: 'grown MiB', digits: 2 },
    { key: 'resident', title: 'RSS MiB', digits: 1 },
    { key: 'connections', title: 'connections', digits: 0 },
    { key: 'errors', title: 'errors', digits: 0 },
  ],
  goals: ['core', 'node26-lazy', 'bun-lazy'].map((name) =>
    absolute('churn', 'grown', [CHURN, name], {
      text: 'memory gained while connections come and go',
      most: 4,
      unit: 'MiB',
    }),
  ),
};
