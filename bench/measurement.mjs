// Every peer of every part, round by round: A B C, C B A, A B C, so that what drifts falls on all of them.
import { startServer } from './child.mjs';
import { Row, Rows } from './row.mjs';

/**
 * Measures and returns the rows.
 *
 * @param {object[]} parts what is measured, see parts.mjs
 * @param {object[]} peers who is measured, see peers.mjs
 * @param {{ rounds: number, seconds: number, warmup: number }} settings
 */
export async function measure(parts, peers, settings) {
  const rows = [];
  for (const part of parts) rows.push(...(await measurePart(part, peers, settings)));
  return new Rows(rows);
}

async function measurePart(part, peers, settings) {
  const visits = peers
    .filter((peer) => part.peers.includes(peer.name))
    .map((peer) => ({ peer, rows: rowsOf(part, peer) }));
  const rounds = Math.min(settings.rounds, part.rounds ?? settings.rounds);
  const begun = performance.now();
  for (let round = 0; round < rounds; round += 1) {
    for (const visit of round % 2 === 0 ? visits : visits.toReversed()) {
      await once(part, visit, round, settings);
    }
  }
  const seconds = (performance.now() - begun) / 1000;
  process.stderr.write(`${part.name}: ${rounds} rounds in ${seconds.toFixed(0)} s\n`);
  return visits.flatMap(({ rows }) => rows);
}

function rowsOf(part, peer) {
  const rows = part.loads
    .filter((load) => part.takes?.(load, peer) ?? true)
    .map((load) => new Row(part, load, peer));
  for (const row of rows) {
    row.skipped = peer.missing;
  }
  return rows;
}

/** One peer, once: a part starts its process itself, or is given a fresh one for all its loads. */
async function once(part, { peer, rows }, round, settings) {
  const wanted = rows.filter((row) => row.isTried);
  if (wanted.length === 0) return;
  const command = peer.works[part.work];
  let server;
  try {
    server = part.starts === 'itself' ? command : await startServer(command, { core: 0 });
  } catch (error) {
    for (const row of wanted) row.failed(error.message);
    return;
  }
  try {
    for (const row of wanted) await sample(row, round, server, settings);
  } finally {
    await server.end?.();
  }
}

/** One row, once. */
async function sample(row, round, server, settings) {
  try {
    row.add(round, await row.part.measure(server, row.load, settings));
    process.stderr.write(`  ${round + 1}  ${row.id}\n`);
  } catch (error) {
    row.failed(error.message);
    process.stderr.write(`  ${round + 1}  ${row.id}: ${error.message}\n`);
  }
}
