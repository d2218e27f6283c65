// What a full run leaves: RESULTS.md for people, results.svg for a glance, results.json for `npm run bench:check`.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { pinned } from './child.mjs';
import { machine, versions } from './machine.mjs';
import { picture } from './picture.mjs';
import { goalTable, partTable } from './table.mjs';

/** Writes the three files. */
export function writeReport(result, directory) {
  mkdirSync(directory, { recursive: true });
  const write = (name, text) => writeFileSync(join(directory, name), text);
  write('RESULTS.md', document(result));
  write('results.svg', picture(result));
  write('results.json', `${JSON.stringify(raw(result), undefined, 1)}\n`);
}

/** Every sample, and the ratios that a later run is compared with. */
function raw({ rows, peers, settings, goals }) {
  return {
    date: new Date().toISOString().slice(0, 10),
    machine: machine(),
    versions: versions(),
    settings,
    peers: Object.fromEntries(peers.map(({ name, title }) => [name, title])),
    ratios: Object.fromEntries(
      goals
        .filter(({ isRatio, value }) => isRatio && value !== undefined)
        .map(({ id, value }) => [id, value]),
    ),
    rows: rows.all.map((row) => ({ id: row.id, skipped: row.skipped, samples: row.samples })),
  };
}

function document(result) {
  const { rows, parts, peers, settings, goals, minutes } = result;
  const count = (verdict) => goals.filter((goal) => goal.verdict === verdict).length;
  const providers = peers.filter((peer) => !peer.missing).map((peer) => `${peer.name} ${peer.tls}`);
  const cores = pinned
    ? 'servers on core 0 with all their threads, the load generator on core 1'
    : 'not pinned: servers and load generator share the cores';
  const roundsOf = (part) => Math.min(settings.rounds, part.rounds ?? settings.rounds);
  const sections = parts.map(
    (part) => `## ${part.title}\n\n${part.about} Rounds: ${roundsOf(part)}.\n\n${partTable(part, rows)}\n`,
  );
  return `# Benchmark

Written by \`npm run bench\`; do not edit. Every sample is in \`results.json\`.

![the most telling rows as bars](results.svg)

## Goals

${count('met')} met, ${count('not met')} not met, ${count('not measured')} not measured.

${goalTable(goals)}

${sections.join('\n')}
## How it was measured

Medians of the rounds with the smallest and the largest in parentheses. A ratio is the median of
the ratios within each round. CPU is user and system time of the server's process and its children.

- load: \`target/release/peer\`, one thread, on the same machine; ${settings.seconds} s for each row of a round, after a warm-up of ${settings.warmup} s; bodies of ${settings.bytes.toLocaleString('en-US')} bytes; a MB is 1,000,000 bytes
- order: reversed every other round; every server is started anew for each part and round, and takes its loads one after the other
- cores: ${cores}
- machine: ${machine()}
- versions: ${versions()}
- TLS: ${providers.join('; ')}
- date: ${new Date().toISOString().slice(0, 10)}; it took ${minutes.toFixed(0)} minutes
- again: \`npm run bench\`, or a part of it: \`npm run bench -- ${parts[0].name} --only core,bun-lazy,bun-http3\`; \`npm run bench:check\` compares the ratios of the goals with a short run
`;
}
