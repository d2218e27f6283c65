// What a page can see of the classes of WebTransport: the interfaces of W3C WebTransport, as Web IDL makes objects of them.

import assert from 'node:assert/strict';
import { WebTransport, WebTransportError, WebTransportSendGroup } from 'trilane';
import { onSessions as on } from '../harness/session-stage.js';
import type { Spec } from './spec.js';

/** Members of an interface. */
interface Members {
  /** Attributes that can only be read. */
  readonly readonly?: readonly string[];
  readonly attributes?: readonly string[];
  /** Operations, with the number of arguments that they need. */
  readonly operations?: Readonly<Record<string, number>>;
}

/** W3C WebTransport §6. */
const WEB_TRANSPORT: Members = {
  readonly: [
    'ready',
    'reliability',
    'congestionControl',
    'protocol',
    'closed',
    'draining',
    'datagrams',
    'incomingBidirectionalStreams',
    'incomingUnidirectionalStreams',
    'responseHeaders',
  ],
  attributes: [
    'anticipatedConcurrentIncomingUnidirectionalStreams',
    'anticipatedConcurrentIncomingBidirectionalStreams',
  ],
  operations: {
    getStats: 0,
    exportKeyingMaterial: 3,
    close: 0,
    createBidirectionalStream: 0,
    createUnidirectionalStream: 0,
    createSendGroup: 0,
  },
};

/** §5. */
const DATAGRAMS: Members = {
  readonly: ['readable', 'maxDatagramSize'],
  attributes: [
    'incomingMaxAge',
    'outgoingMaxAge',
    'incomingHighWaterMark',
    'outgoingHighWaterMark',
    'incomingMaxBufferedDatagrams',
    'outgoingMaxBufferedDatagrams',
  ],
  operations: { createWritable: 0 },
};

/** §9 and §4: streams and ways in for datagrams are ordered alike. */
const ORDERED: Members = { attributes: ['sendGroup', 'sendOrder'] };

function descriptor(prototype: object, name: string): PropertyDescriptor {
  const found = Object.getOwnPropertyDescriptor(prototype, name);
  assert.ok(found, `${name} is no member of the prototype`);
  assert.deepEqual([found.enumerable, found.configurable], [true, true], name);
  return found;
}

function looksLike(
  prototype: object,
  name: string,
  { readonly = [], attributes = [], operations = {} }: Members,
): void {
  assert.equal(Object.prototype.toString.call(prototype), `[object ${name}]`);
  const tag = Object.getOwnPropertyDescriptor(prototype, Symbol.toStringTag);
  assert.deepEqual([tag?.value, tag?.writable, tag?.enumerable], [name, false, false]);
  for (const attribute of [...readonly, ...attributes]) {
    const { get, set } = descriptor(prototype, attribute);
    assert.equal(typeof get, 'function', attribute);
    assert.equal(set !== undefined, attributes.includes(attribute), `the setter of ${attribute}`);
    // What is no such object is refused, whatever it looks like.
    assert.throws(() => get?.call({}), TypeError, attribute);
  }
  for (const [operation, length] of Object.entries(operations)) {
    const { value, writable } = descriptor(prototype, operation);
    assert.deepEqual([typeof value, value.length, writable], ['function', length, true], operation);
  }
}

function looksLikeClass(made: { prototype: object }, name: string, length: number): void {
  assert.equal((made as unknown as { name: string }).name, name);
  assert.equal((made as unknown as { length: number }).length, length, `arguments of ${name}`);
  assert.equal(Object.getOwnPropertyDescriptor(made, 'prototype')?.writable, false);
  assert.throws(() => (made as unknown as () => unknown)(), TypeError, 'without new');
}

export const specs: Spec[] = [
  {
    name: 'WebTransport has the members of its interface',
    async run() {
      looksLikeClass(WebTransport, 'WebTransport', 1);
      looksLike(WebTransport.prototype, 'WebTransport', WEB_TRANSPORT);
      const { get, set } = descriptor(WebTransport, 'supportsReliableOnly');
      assert.deepEqual([get?.call(WebTransport), set], [false, undefined]);
      for (const name of ['getStats', 'createBidirectionalStream', 'exportKeyingMaterial'] as const) {
        await assert.rejects(Reflect.apply(WebTransport.prototype[name], {}, []), TypeError, name);
      }
    },
  },
  {
    name: 'WebTransport needs a URL',
    run: () => assert.throws(() => new (WebTransport as unknown as new () => WebTransport)(), TypeError),
  },
  on('what a session has looks like the interfaces of browsers', async ({ open }) => {
    const { client } = await open();
    const { readable, writable } = await client.createBidirectionalStream();
    const send = Object.getPrototypeOf(writable) as object;
    looksLike(send, 'WebTransportSendStream', { ...ORDERED, operations: { getStats: 0 } });
    const receive = Object.getPrototypeOf(readable) as object;
    looksLike(receive, 'WebTransportReceiveStream', { operations: { getStats: 0 } });
    looksLike(Object.getPrototypeOf(client.datagrams), 'WebTransportDatagramDuplexStream', DATAGRAMS);
    const way = Object.getPrototypeOf(client.datagrams.createWritable()) as object;
    looksLike(way, 'WebTransportDatagramsWritable', ORDERED);
    looksLike(WebTransportSendGroup.prototype, 'WebTransportSendGroup', { operations: { getStats: 0 } });
    assert.ok(writable instanceof WritableStream && readable instanceof ReadableStream);
    const seen: string[] = [];
    for (const name in client) seen.push(name);
    assert.deepEqual(
      [...(WEB_TRANSPORT.readonly ?? []), 'close'].filter((name) => !seen.includes(name)),
      [],
      'for … in names the members',
    );
  }),
  on('attributes that can only be read stay as they are', async ({ open }) => {
    const { client } = await open();
    for (const name of WEB_TRANSPORT.readonly ?? []) {
      assert.throws(
        () => Reflect.set(client, name, null) || assert.fail(new TypeError('not set')),
        TypeError,
      );
    }
    assert.equal(client.reliability, 'supports-unreliable');
  }),
  on('the hints of anticipated streams are unsigned shorts, or null', async ({ ask }) => {
    const names = [
      'anticipatedConcurrentIncomingUnidirectionalStreams',
      'anticipatedConcurrentIncomingBidirectionalStreams',
    ] as const;
    const session = ask('/', { [names[0]]: 3, [names[1]]: 65_535 });
    assert.deepEqual([session[names[0]], session[names[1]]], [3, 65_535]);
    for (const name of names) {
      session[name] = 7.9;
      assert.equal(session[name], 7);
      for (const wrong of [-1, 65_536, Number.NaN, Number.POSITIVE_INFINITY]) {
        assert.throws(() => Reflect.set(session, name, wrong), TypeError, `${wrong}`);
      }
      assert.equal(session[name], 7);
      session[name] = null;
      assert.equal(session[name], null);
      assert.throws(() => ask('/', { [name]: 65_536 }), TypeError);
    }
    await session.ready;
  }),
  {
    name: 'a WebTransportError is a DOMException with a source and a code',
    run() {
      looksLikeClass(WebTransportError, 'WebTransportError', 0);
      looksLike(WebTransportError.prototype, 'WebTransportError', {
        readonly: ['source', 'streamErrorCode'],
      });
      const error = new WebTransportError();
      assert.ok(error instanceof DOMException && error instanceof Error);
      assert.deepEqual(
        [error.name, error.message, error.code, error.source, error.streamErrorCode],
        ['WebTransportError', '', 0, 'stream', null],
      );
      assert.equal(new WebTransportError('a', { source: 'session' }).source, 'session');
      assert.throws(() => new WebTransportError('a', { source: 'else' as 'session' }), TypeError);
    },
  },
  {
    name: 'the code of a WebTransportError is clamped to an unsigned long',
    run() {
      const code = (streamErrorCode: unknown): unknown =>
        new WebTransportError('', { streamErrorCode: streamErrorCode as number }).streamErrorCode;
      const given = [
        0,
        7,
        4_294_967_295,
        4_294_967_296,
        -1,
        Number.NaN,
        1.5,
        2.5,
        2.6,
        '12',
        undefined,
        null,
      ];
      assert.deepEqual(given.map(code), [0, 7, 4_294_967_295, 4_294_967_295, 0, 0, 2, 2, 3, 12, null, null]);
    },
  },
];
