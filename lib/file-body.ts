import { join } from 'node:path';
import { streamFrom } from './body.js';
import { builtin } from './builtin.js';
import { findField, type PackedFields } from './fields.js';
import { mediaType } from './native.js';

/** What of a request decides how a file is sent. */
interface Asking {
  readonly method: string;
  readonly fields: PackedFields;
}

/** Fields that make a request conditional or partial, in the order of `crates/binding/src/files.rs`. */
const CONDITIONS = ['if-match', 'if-unmodified-since', 'if-none-match', 'if-modified-since', 'if-range'];

/** Media types by the ending of a name: asking the native part costs more than remembering. */
const knownTypes = new Map<string, string>();
const KNOWN_TYPES_LIMIT = 256;
const ENDING = /\.[^./\\]+$/;

/** A file as the body of a Response: the native part opens and reads it when the answer is sent. */
export class FileBody {
  /** The folder that the file must lie in; `""`: the path stands for itself. */
  readonly root: string;
  /** Absolute, or relative to the root. */
  readonly path: string;

  constructor(root: string, path: string) {
    this.root = root;
    this.path = path;
  }

  /** Its Content-Type. */
  get type(): string {
    const ending = ENDING.exec(this.path)?.[0] ?? '';
    let type = knownTypes.get(ending);
    if (type === undefined) {
      type = mediaType(`name${ending}`);
      if (knownTypes.size < KNOWN_TYPES_LIMIT) knownTypes.set(ending, type);
    }
    return type;
  }

  /** Its bytes, for who reads the Response instead of sending it. Opened when it is first read. */
  stream(): ReadableStream<Uint8Array> {
    return streamFrom(read(join(this.root, this.path)));
  }

  /** File and conditions as they cross the border. RFC 9110 §13 and §14 know them for GET and HEAD, and Range for GET only. */
  pack({ method, fields }: Asking): string {
    let packed = `${this.root}\0${this.path}`;
    if (fields === '' || (method !== 'GET' && method !== 'HEAD')) return packed;
    for (const name of CONDITIONS) packed += `\0${findField(fields, name) ?? ''}`;
    return method === 'GET' ? `${packed}\0${findField(fields, 'range') ?? ''}` : packed;
  }
}

async function* read(path: string): AsyncGenerator<Uint8Array> {
  for await (const chunk of builtin('node:fs').createReadStream(path)) yield chunk as Uint8Array;
}
