// A program of its own for `specs/process.ts`: `scenario.js <name>`. It prints `ready <port>` once its server listens
// and then does what its name says; how it ends is what the spec looks at.

import { dirname } from 'node:path';
import process from 'node:process';
import { Worker } from 'node:worker_threads';
import { createH3Server, fileResponse, type H3ServeOptions, type H3Server, serveStatic } from 'trilane';
import { collectGarbage } from '../harness/runtime.js';
import { told } from './parent.js';

const SCENARIOS: Readonly<Record<string, () => Promise<void> | void>> = {
  async closes() {
    const server = serve({});
    await told();
    server.close();
  },

  async stops() {
    const server = serve({});
    await told();
    await server.stop();
  },

  async disposes() {
    await using server = serve({});
    await told();
    process.stdout.write(`${server.running}\n`);
  },

  /** Nothing but the server is left, and it does not count. */
  unreferenced() {
    serve({}).unref();
  },

  /** unref() and ref() again: only a signal ends it. */
  referenced() {
    serve({}).unref().ref();
  },

  async failsToStart() {
    const server = serve({});
    try {
      serve({ port: server.port });
    } catch (error) {
      process.stdout.write(`${(error as { code?: unknown }).code}\n`);
    }
    server.close();
  },

  /** Requests never answered, streams never ended, files half sent and looked for, then process.exit(). */
  exits() {
    let seen = 0;
    const folder = serveStatic(dirname(process.execPath));
    serve({
      fetch(request, server) {
        seen += 1;
        if (seen === 10) setTimeout(() => process.exit(7), 20);
        switch (seen % 4) {
          case 0:
            return new Promise<Response>(() => undefined);
          case 1:
            return new Response(endless());
          case 2:
            return folder(request, server);
          default:
            return fileResponse(process.execPath);
        }
      },
    });
  },

  /** An error that nobody catches, outside of the handler's own time. */
  throwsInTimer() {
    serve({
      fetch() {
        setTimeout(() => {
          throw new Error('uncaught');
        }, 5);
        return new Promise<Response>(() => undefined);
      },
    });
  },

  waitsForSignal() {
    serve({ fetch: () => new Response(endless()) });
  },

  /** A server in a worker, terminated with work in flight; then one of the main thread. */
  async terminatesWorker() {
    const worker = new Worker(new URL('server-worker.js', import.meta.url));
    const port = await firstMessage(worker);
    process.stdout.write(`ready ${port}\n`);
    await told();
    await worker.terminate();
    const server = serve({ fetch: () => new Response('main') });
    await told();
    server.close();
  },

  async twoWorkers() {
    const workers = [1, 2].map(() => new Worker(new URL('server-worker.js', import.meta.url)));
    const ports = await Promise.all(workers.map(firstMessage));
    process.stdout.write(`ready ${ports.join(' ')}\n`);
    await told();
    await workers[0]?.terminate();
    process.stdout.write('one is gone\n');
    await told();
    await workers[1]?.terminate();
  },

  /** Each worker is the only one that uses the package: the IO thread ends and starts again with each. */
  async workersInTurn() {
    for (let round = 0; round < 5; round++) {
      const worker = new Worker(new URL('server-worker.js', import.meta.url));
      process.stdout.write(`ready ${await firstMessage(worker)}\n`);
      await told();
      await worker.terminate();
    }
  },

  /** Makes garbage of servers, requests and answers while the collector runs all the time. */
  async collectsGarbage() {
    const collecting = setInterval(collectGarbage, 5);
    for (let n = 0; n < 50; n++)
      createH3Server({ hostname: '127.0.0.1', fetch: () => new Response() }).close();
    const server = serve({
      fetch: async (request) => {
        const text = await request.text();
        collectGarbage();
        return new Response(new Blob([text]).stream());
      },
    });
    await told();
    clearInterval(collecting);
    server.close();
  },

  /** A server that nobody holds goes on serving. */
  async forgets() {
    serve({ fetch: () => new Response('still here') });
    const collecting = setInterval(collectGarbage, 5);
    await told();
    clearInterval(collecting);
    process.exit(0);
  },
};

await SCENARIOS[process.argv[2] ?? '']?.();

/** Makes a server and says where it is. */
function serve(options: H3ServeOptions): H3Server {
  const server = createH3Server({ hostname: '127.0.0.1', fetch: () => new Response('hello'), ...options });
  process.stdout.write(`ready ${server.port}\n`);
  return server;
}

async function firstMessage(worker: Worker): Promise<number> {
  return new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
}

function endless(): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      await new Promise((resolve) => setTimeout(resolve, 1));
      controller.enqueue(new Uint8Array(1000));
    },
  });
}
