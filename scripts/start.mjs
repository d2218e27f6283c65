#!/usr/bin/env node

// `npm start`: sets the clone up and runs the demo server in this process, which then owns the signals.

import { setUp } from './setup.mjs';
import { runScript } from './steps.mjs';

await runScript(async () => {
  await setUp();
  await import('../examples/demo/server.mjs');
});
