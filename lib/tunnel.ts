import { noContent } from './body.js';

/** 200 at once, without content, open until the client ends its side. */
export function untilClientEnds(body: ReadableStream<Uint8Array> | null): Response {
  return new Response(drained(body ?? noContent()));
}

/** A stream that yields nothing, and ends as `source` does. */
export function drained(source: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
  const reader = source.getReader();
  return new ReadableStream<Uint8Array>({
    async start(controller) {
      while (!(await reader.read()).done);
      controller.close();
    },
    cancel: (reason) => reader.cancel(reason),
  });
}
