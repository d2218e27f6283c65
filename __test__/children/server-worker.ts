// A server in a worker of `scenario.ts`: says its port, answers with a stream that never ends, or at once to /ping.

import { parentPort } from 'node:worker_threads';
import { createH3Server } from 'trilane';

const server = createH3Server({
  hostname: '127.0.0.1',
  fetch({ url }) {
    if (url.endsWith('/ping')) return new Response('worker');
    if (url.endsWith('/never')) return new Promise<Response>(() => undefined);
    const stream = new ReadableStream<Uint8Array>({
      async pull(controller) {
        await new Promise((resolve) => setTimeout(resolve, 1));
        controller.enqueue(new Uint8Array(1000));
      },
    });
    return new Response(stream);
  },
});
parentPort?.postMessage(server.port);
