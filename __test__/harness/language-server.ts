import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import process from 'node:process';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { soon } from './deadline.js';

/** Time for one answer, in milliseconds: the first one waits until the whole program is read. */
const ANSWER_MS = 60_000;

interface Answer {
  readonly type: string;
  readonly request_seq?: number;
  readonly success?: boolean;
  readonly message?: string;
  readonly body?: unknown;
}

/** A place in a text: line and column, from 1. */
export interface Place {
  readonly line: number;
  readonly offset: number;
}

/** What an editor shows of a name: its declaration, and the documentation as text. */
export interface QuickInfo {
  readonly displayString: string;
  readonly documentation: string;
}

/** TypeScript's tsserver over its standard streams, as editors drive it, with one open file in the root of the package. */
export class LanguageServer {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  readonly #file = fileURLToPath(new URL('../../editor-sample.ts', import.meta.url));
  #unread = '';
  #sequence = 0;

  constructor(text: string) {
    const script = createRequire(import.meta.url).resolve('typescript/lib/tsserver.js');
    this.#child = spawn(process.execPath, [script, '--disableAutomaticTypingAcquisition'], {
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    this.#child.stdout.setEncoding('utf8').on('data', (data: string) => this.#read(data));
    this.#send('compilerOptionsForInferredProjects', {
      options: {
        module: 'NodeNext',
        moduleResolution: 'NodeNext',
        target: 'ES2022',
        strict: true,
        types: ['node'],
      },
    });
    this.#send('open', { file: this.#file, fileContent: text, scriptKindName: 'TS' });
  }

  /** The names that the editor offers at `place`. */
  async completions(place: Place): Promise<string[]> {
    const body = await this.#ask('completionInfo', { ...place, includeExternalModuleExports: false });
    const { entries } = body as { readonly entries: readonly { readonly name: string }[] };
    return entries.map(({ name }) => name);
  }

  /** What the editor shows of the name `name` among those that it offers at `place`. */
  async details(place: Place, name: string): Promise<QuickInfo> {
    const body = await this.#ask('completionEntryDetails', { ...place, entryNames: [name] });
    type Parts = readonly { readonly text: string }[];
    const [entry] = body as [{ readonly displayParts: Parts; readonly documentation: Parts }];
    const textOf = (parts: Parts): string => parts.map(({ text }) => text).join('');
    return { displayString: textOf(entry.displayParts), documentation: textOf(entry.documentation) };
  }

  /** What the editor shows when the pointer rests on `place`. */
  async quickInfo(place: Place): Promise<QuickInfo> {
    return (await this.#ask('quickinfo', { ...place })) as QuickInfo;
  }

  close(): void {
    this.#child.kill();
  }

  async #ask(command: string, place: object): Promise<unknown> {
    const sequence = this.#send(command, { file: this.#file, ...place });
    const answered = new Promise<Answer>((resolve) => {
      this.#waiting.set(sequence, resolve);
    });
    const { success, message, body } = await soon(`the answer to ${command}`, answered, ANSWER_MS);
    if (success !== true) throw new Error(`${command}: ${message}`);
    return body;
  }

  #send(command: string, args: object): number {
    const seq = ++this.#sequence;
    this.#child.stdin.write(`${JSON.stringify({ seq, type: 'request', command, arguments: args })}\n`);
    return seq;
  }

  /** Each message is a header, an empty line, and one line of JSON. */
  #read(data: string): void {
    const lines = (this.#unread + data).split('\n');
    this.#unread = lines.pop() ?? '';
    for (const line of lines) {
      if (!line.startsWith('{')) continue;
      const answer = JSON.parse(line) as Answer;
      if (answer.type === 'response' && answer.request_seq !== undefined) {
        this.#waiting.get(answer.request_seq)?.(answer);
        this.#waiting.delete(answer.request_seq);
      }
    }
  }
}
