// The same work in every JavaScript server of the benchmark. `ResponseClass` is the runtime's, or trilane's own.
import { statSync } from 'node:fs';

const PIECE_BYTES = 64 * 1024;
const FIELDS = Array.from({ length: 8 }, (_, index) => `x-field-${index + 1}`);

/** Reads method, path and one header, answers a short text. */
export function hello(ResponseClass) {
  return (request) => {
    const { pathname } = new URL(request.url);
    const agent = request.headers.get('user-agent');
    if (request.method !== 'GET' || pathname === '' || agent === null) {
      return new ResponseClass('unexpected request', { status: 400 });
    }
    return new ResponseClass('hello world', { headers: { 'content-type': 'text/plain' } });
  };
}

/** Reads eight headers and a document, answers the document written anew. */
export function jsonEcho(ResponseClass) {
  return async (request) => {
    if (FIELDS.some((name) => request.headers.get(name) === null)) {
      return new ResponseClass('a field is missing', { status: 400 });
    }
    const document = await request.json();
    return new ResponseClass(JSON.stringify(document), { headers: { 'content-type': 'application/json' } });
  };
}

/** `?bytes=` of a request. */
function wantedBytes(request) {
  return Number(new URL(request.url).searchParams.get('bytes'));
}

async function* pieces(bytes) {
  const piece = new Uint8Array(PIECE_BYTES);
  for (let left = bytes; left > 0; left -= PIECE_BYTES) {
    yield left < PIECE_BYTES ? piece.subarray(0, left) : piece;
  }
}

/** Answers as many bytes as are wanted, made as they are taken. */
export function generator(ResponseClass) {
  return (request) => new ResponseClass(pieces(wantedBytes(request)));
}

/** Answers as many bytes as are wanted, from one buffer as long as `file`, which is made when it is first asked for. */
export function buffer(ResponseClass, file) {
  let whole;
  return (request) => {
    whole ??= new Uint8Array(statSync(file).size).fill(0x78);
    return new ResponseClass(whole.subarray(0, wantedBytes(request)));
  };
}

/** Reads a body as it comes, answers its length. */
export function counted(ResponseClass) {
  return async (request) => {
    let bytes = 0;
    for await (const piece of request.body ?? []) bytes += piece.byteLength;
    return new ResponseClass(String(bytes));
  };
}
