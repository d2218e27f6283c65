import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { type Deferred, deferred, PATIENCE_MS, soon } from './deadline.js';

/** Time beyond a command's own limit after which the peer itself counts as hanging, in milliseconds. */
const GRACE_MS = 5_000;

/** The fields of a reply beside its id; `crates/peer/README.md` lists them. */
export type Reply = Readonly<Record<string, unknown>>;

/** What the peer saw fail: one word, the code on the wire if there was one, and a sentence. */
export interface PeerFailure {
  readonly kind: string;
  readonly code: number | null;
  readonly reason: string;
}

const ENDED: PeerFailure = { kind: 'ended', code: null, reason: 'the peer was ended' };

/** The other side of every spec: an HTTP/3 client that shares no code with the server, driven over standard input. */
export class Peer {
  readonly #process: ChildProcessWithoutNullStreams;
  readonly #waiting = new Map<number, Deferred<Reply>>();
  readonly #ended = deferred();
  #lastId = 0;
  #unread = '';

  constructor() {
    this.#process = spawn(peerProgram(), ['client'], { stdio: ['pipe', 'pipe', 'pipe'] });
    this.#process.stdout.setEncoding('utf8');
    this.#process.stdout.on('data', (text: string) => this.#read(text));
    let complaint = '';
    this.#process.stderr.setEncoding('utf8');
    this.#process.stderr.on('data', (text: string) => {
      complaint += text;
    });
    this.#process.on('error', (error) => this.#end(error));
    this.#process.on('close', () => this.#end(new Error(`the peer ended: ${complaint}`)));
  }

  /** Sends a command and waits for its reply. Rejects only if the peer gives none; its own errors are in the reply. */
  async command(name: string, fields: object, patienceMs = PATIENCE_MS): Promise<Reply> {
    this.#lastId += 1;
    const id = this.#lastId;
    const reply = deferred<Reply>();
    this.#waiting.set(id, reply);
    this.#process.stdin.write(
      `${JSON.stringify({ ...fields, id, command: name, timeout_ms: patienceMs })}\n`,
    );
    return soon(`the peer's reply to ${name}`, reply.promise, patienceMs + GRACE_MS);
  }

  /** Ends the process; commands that still wait are answered with an error of the kind `ended`. */
  async end(): Promise<void> {
    for (const waiting of this.#waiting.values()) waiting.resolve({ error: ENDED });
    this.#waiting.clear();
    this.#process.stdin.end();
    await soon('the end of the peer', this.#ended.promise);
  }

  #read(text: string): void {
    const lines = (this.#unread + text).split('\n');
    this.#unread = lines.pop() ?? '';
    for (const line of lines) {
      const reply = JSON.parse(line) as Reply;
      const id = reply['id'] as number;
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (waiting === undefined) this.#end(new Error(`the peer said ${line}`));
      else waiting.resolve(reply);
    }
  }

  #end(error: Error): void {
    this.#ended.resolve();
    for (const waiting of this.#waiting.values()) waiting.reject(error);
    this.#waiting.clear();
  }
}

let shared: Peer | null = null;

/** The peer of this process: started when first asked for. */
export function sharedPeer(): Peer {
  shared ??= new Peer();
  return shared;
}

/** Ends the peer of this process if it was started. */
export async function endSharedPeer(): Promise<void> {
  const peer = shared;
  shared = null;
  await peer?.end();
}

/** Runs another subcommand of the peer and returns the one line it prints. */
export async function runPeer(
  args: readonly string[],
  patienceMs: number,
): Promise<Readonly<Record<string, unknown>>> {
  const child = spawn(peerProgram(), args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let printed = '';
  let complaint = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    printed += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint += text;
  });
  const ended = deferred<number | null>();
  child.on('error', (error) => ended.reject(error));
  child.on('close', (code) => ended.resolve(code));
  try {
    const code = await soon(`peer ${args.join(' ')}`, ended.promise, patienceMs);
    if (code !== 0) throw new Error(`peer ${args.join(' ')} ended with ${code}: ${complaint}`);
  } finally {
    child.kill();
  }
  return JSON.parse(printed) as Readonly<Record<string, unknown>>;
}

/** The program that plays the peer. */
export function peerProgram(): string {
  const file = process.platform === 'win32' ? 'peer.exe' : 'peer';
  const path = fileURLToPath(new URL(`../../target/release/${file}`, import.meta.url));
  if (!existsSync(path)) {
    throw new Error(`${path} is missing: cargo build --release -p trilane-peer builds it`);
  }
  return path;
}
