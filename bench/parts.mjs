// The parts of the benchmark, in the order of the document. A part is:
//
//   name, title, about    for the command line, and for people
//   work                  which command of a peer is started for it, see peers.mjs
//   peers                 names of those that take part
//   loads                 what each of them is put under, one row each: name, title, and what the part itself needs
//   takes(load, peer)     whether a peer can do a load; all can unless it says no
//   measure(server, load, settings)   one sample: a number for each figure. `server` is { pid, port } of a fresh process
//   starts: 'itself'      then `server` is the command, and the part decides what to start
//   column, yardstick     what a peer is called in the table, default `server`; the peer that the others are compared with
//   rounds                the most rounds: fewer where a round is long, one where there is nothing to take a median of
//   figures               key, title, digits, and `better: 'less' | 'more'` where it is compared with the yardstick
//   goals                 see goals.mjs

import { border } from './parts/border.mjs';
import { bulk } from './parts/bulk.mjs';
import { client } from './parts/client.mjs';
import { connect } from './parts/connect.mjs';
import { echo } from './parts/echo.mjs';
import { growth } from './parts/growth.mjs';
import { hello } from './parts/hello.mjs';
import { churn, idle } from './parts/idle.mjs';
import { latency } from './parts/latency.mjs';
import { post } from './parts/post.mjs';
import { start } from './parts/start.mjs';

export const PARTS = [hello, latency, post, bulk, echo, client, connect, start, growth, idle, churn, border];

/** The parts with these names; all without any. */
export function partsNamed(names) {
  if (names.length === 0) return PARTS;
  return names.map((name) => {
    const found = PARTS.find((part) => part.name === name);
    if (found) return found;
    throw new RangeError(`no part ${name}; there are ${PARTS.map((part) => part.name).join(', ')}`);
  });
}
