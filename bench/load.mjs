// The load generator, on its own core, and what a server spent meanwhile.
import { once } from './child.mjs';
import { cpuSeconds } from './cpu.mjs';
import { peer } from './paths.mjs';

/** How long opening the connections of a load may take. */
const CONNECT_SECONDS = 30;

/** Runs a subcommand of `peer` and returns what it reports. */
export async function generate(args, { timeoutMs }) {
  return JSON.parse(await once([peer(), ...args.map(String)], { core: 1, timeoutMs }));
}

/** The same, with `cpu`: the seconds of CPU time that the server spent; undefined where that cannot be read. */
export async function generateAgainst(server, args, options) {
  const before = cpuSeconds(server.pid);
  const report = await generate(args, options);
  return { ...report, cpu: before && cpuSeconds(server.pid).since(before) };
}

/**
 * `peer load` against a server: requests per second, latency, CPU for a request. What it costs to open the connections is not
 * in there: the generator announces when it begins to measure.
 *
 * @param {{ path?: string, connections: number, streams: number, flags?: string[] }} load
 */
export async function requests(server, load, { seconds, warmup }) {
  const { path = '/hello/world?x=1', connections, streams, flags = [] } = load;
  const url = `https://localhost:${server.port}${path}`;
  const timing = ['--seconds', seconds, '--warmup', warmup, '--announce'];
  const command = [
    peer(),
    'load',
    url,
    ...timing,
    '--connections',
    connections,
    '--streams',
    streams,
    ...flags,
  ];
  const readings = [];
  const output = await once(command.map(String), {
    core: 1,
    timeoutMs: (seconds + warmup + CONNECT_SECONDS) * 1000,
    onOutput: () => readings.push(cpuSeconds(server.pid)),
  });
  const [announced, line] = output.trim().split('\n');
  if (line === undefined) throw new Error(`the load ended too early: ${announced}`);
  const report = JSON.parse(line);
  if (report.requests === 0) {
    throw new Error(`no request was answered: ${JSON.stringify(report.errors_by_kind)}`);
  }
  const [before, after] = readings;
  const cpu = after?.since(before);
  return {
    cpuMicros: cpu && (cpu * 1e6) / report.requests,
    perSecond: report.req_per_s,
    p50: report.p50_us,
    p99: report.p99_us,
    errors: report.errors,
  };
}
