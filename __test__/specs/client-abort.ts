// Signals: before, while and after the request is on its way (Fetch §5.6).

import assert from 'node:assert/strict';
import { type Answering, clientSpecs, withClient } from '../harness/client-stage.js';
import { deferred, soon, until } from '../harness/deadline.js';
import { rejection } from '../harness/failure.js';

/** Never answers; tells when a request is here and when it is aborted. */
function silent(): { answer: Answering; arrived: Promise<void>; aborted: Promise<void> } {
  const arrived = deferred();
  const aborted = deferred();
  return {
    arrived: arrived.promise,
    aborted: aborted.promise,
    answer: (request) =>
      new Promise<Response>(() => {
        request.signal.addEventListener('abort', () => aborted.resolve());
        arrived.resolve();
      }),
  };
}

/** Sends a byte now and then, for ever. */
const endless: Answering = () => {
  let timer: NodeJS.Timeout;
  return new Response(
    new ReadableStream({
      start(controller) {
        timer = setInterval(() => controller.enqueue(new Uint8Array([1])), 20);
      },
      cancel: () => clearInterval(timer),
    }),
  );
};

export const specs = clientSpecs([
  {
    name: 'a signal that has aborted sends nothing, gives its reason, and cancels the body',
    run: () =>
      withClient(
        () => new Response(''),
        async ({ client, server, at }) => {
          const cancelled = deferred<unknown>();
          const body = new ReadableStream<Uint8Array>({ cancel: (reason) => cancelled.resolve(reason) });
          const reason = { my: 'reason' };
          const sent = client.fetch(at('/'), {
            method: 'POST',
            body,
            duplex: 'half',
            signal: AbortSignal.abort(reason),
          });
          assert.equal(await rejection(sent), reason);
          assert.equal(await soon('cancel()', cancelled.promise), reason);
          assert.equal(server.getStats().requests, 0n);
        },
      ),
  },
  {
    name: 'aborting before the response rejects at once, and the server hears of it',
    run: () => {
      const { answer, arrived, aborted } = silent();
      return withClient(answer, async ({ client, at }) => {
        const controller = new AbortController();
        const sent = client.fetch(at('/'), { signal: controller.signal });
        await soon('the request', arrived);
        const reason = new Error('mine');
        controller.abort(reason);
        assert.equal(await rejection(sent), reason);
        await soon('the abort at the server', aborted);
      });
    },
  },
  {
    name: 'without a reason it is an AbortError, and after AbortSignal.timeout a TimeoutError',
    run: () => {
      const { answer } = silent();
      return withClient(answer, async ({ client, at }) => {
        const controller = new AbortController();
        const sent = client.fetch(at('/'), { signal: controller.signal });
        controller.abort();
        assert.equal(((await rejection(sent)) as Error).name, 'AbortError');
        const late = client.fetch(at('/'), { signal: AbortSignal.timeout(100) });
        assert.equal(((await rejection(late)) as Error).name, 'TimeoutError');
      });
    },
  },
  {
    name: 'aborting after the head ends the body with the reason, whether it is read or not',
    run: () =>
      withClient(endless, async ({ client, server, at }) => {
        for (const reading of [true, false]) {
          const controller = new AbortController();
          const response = await client.fetch(at('/'), { signal: controller.signal });
          const reason = new Error('mine');
          if (reading) {
            const text = response.text();
            setTimeout(() => controller.abort(reason), 50);
            assert.equal(await rejection(text), reason);
          } else {
            controller.abort(reason);
            assert.equal(await rejection(response.text()), reason);
          }
          await until('the end of the request', () => server.getStats().requestsActive === 0);
        }
      }),
  },
  {
    name: 'aborting after the body was read changes nothing',
    run: () =>
      withClient(
        () => new Response('text'),
        async ({ client, at }) => {
          const controller = new AbortController();
          const response = await client.fetch(at('/'), { signal: controller.signal });
          assert.equal(await response.text(), 'text');
          controller.abort();
          assert.deepEqual([...(await response.trailers)], []);
        },
      ),
  },
  {
    name: 'aborting an upload stops its producer',
    run: () => {
      const { answer, arrived } = silent();
      return withClient(answer, async ({ client, at }) => {
        const controller = new AbortController();
        const stopped = deferred<unknown>();
        const body = new ReadableStream<Uint8Array>({
          pull: (stream) => stream.enqueue(new Uint8Array(1000)),
          cancel: (reason) => stopped.resolve(reason),
        });
        const sent = client.fetch(at('/'), {
          method: 'POST',
          body,
          duplex: 'half',
          signal: controller.signal,
        });
        await soon('the request', arrived);
        controller.abort();
        assert.equal(((await rejection(sent)) as Error).name, 'AbortError');
        assert.equal(((await soon('cancel()', stopped.promise)) as Error).name, 'AbortError');
      });
    },
  },
  {
    name: 'the signal of a Request counts, and null in init takes it away',
    run: () => {
      const { answer } = silent();
      return withClient(
        (request, server) => (request.url.endsWith('/ok') ? new Response('ok') : answer(request, server)),
        async ({ client, at }) => {
          const controller = new AbortController();
          const sent = client.fetch(new Request(at('/'), { signal: controller.signal }));
          setTimeout(() => controller.abort(), 50);
          assert.equal(((await rejection(sent)) as Error).name, 'AbortError');
          const aborted = new Request(at('/ok'), { signal: controller.signal });
          assert.equal(((await rejection(client.fetch(aborted))) as Error).name, 'AbortError');
          assert.equal(await (await client.fetch(aborted, { signal: null })).text(), 'ok');
        },
      );
    },
  },
  {
    name: 'a chain of redirects is aborted wherever it is',
    run: () =>
      withClient(
        async () => {
          await new Promise((resolve) => setTimeout(resolve, 30));
          return new Response(null, { status: 302, headers: { location: '/again' } });
        },
        async ({ client, server, at }) => {
          const sent = client.fetch(at('/'), { signal: AbortSignal.timeout(150) });
          assert.equal(((await rejection(sent)) as Error).name, 'TimeoutError');
          const { requests } = server.getStats();
          assert.ok(requests < 20n, `${requests} requests`);
        },
      ),
  },
  {
    name: 'a signal that many requests share keeps no listener of those that are over',
    run: () =>
      withClient(
        () => new Response('text'),
        async ({ client, at }) => {
          const { signal } = new AbortController();
          let listeners = 0;
          const { addEventListener, removeEventListener } = signal;
          signal.addEventListener = ((...given: Parameters<typeof addEventListener>) => {
            listeners += 1;
            addEventListener.apply(signal, given);
          }) as typeof addEventListener;
          signal.removeEventListener = ((...given: Parameters<typeof removeEventListener>) => {
            listeners -= 1;
            removeEventListener.apply(signal, given);
          }) as typeof removeEventListener;
          for (let index = 0; index < 5; index++) await (await client.fetch(at('/'), { signal })).text();
          assert.equal(listeners, 0);
        },
      ),
  },
]);
