type Body = ConstructorParameters<typeof Response>[0];

/** A body of 1,000 bytes and, once `rest` is resolved, `last` more. */
export function twoPieces(rest: Promise<unknown>, last = 1000): Body {
  const stream = async function* (): AsyncGenerator<Uint8Array> {
    yield new Uint8Array(1000);
    await rest;
    yield new Uint8Array(last);
  };
  // The types of Node's streams and of the runtime's differ.
  return ReadableStream.from(stream()) as unknown as Body;
}
