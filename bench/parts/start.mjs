// From the start of a process to its first answer.
import { onCore } from '../child.mjs';
import { ratio } from '../goals.mjs';
import { generate } from '../load.mjs';
import { YARDSTICK } from '../peers.mjs';

const LOAD = 'cold';

export const start = {
  name: 'start',
  title: 'Cold start',
  about: 'From the start of the process to the first answer to its first client, handshake included.',
  work: 'hello',
  starts: 'itself',
  peers: [
    'core',
    'node20-lazy',
    'node26-lazy',
    'bun-lazy',
    'deno-lazy',
    YARDSTICK,
    'quic-go',
    'currentspace',
  ],
  loads: [{ name: LOAD, title: 'first answer' }],
  async measure(command) {
    const report = await generate(['start', ...onCore(0), ...command], { timeoutMs: 40_000 });
    return { first: report.first_answer_ms, listening: report.listening_ms };
  },
  figures: [
    { key: 'first', title: 'first answer ms', digits: 0, better: 'less' },
    { key: 'listening', title: 'listening ms', digits: 0 },
  ],
  goals: [
    ratio('start', 'first', [LOAD, 'bun-lazy'], [LOAD, YARDSTICK], {
      text: "first answer, beside Bun's own",
      most: 1.1,
    }),
    ratio('start', 'first', [LOAD, 'core'], [LOAD, 'quic-go'], {
      text: 'first answer, beside quic-go',
      most: 1,
    }),
  ],
};
