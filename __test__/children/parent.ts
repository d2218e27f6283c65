import process from 'node:process';

let unread = 0;
let listening = false;
let wake: (() => void) | null = null;

/**
 * Waits until the parent writes a line. The parent ends standard input with its last line, so that reading it keeps
 * nobody alive; before the first call it is not touched at all.
 */
export async function told(): Promise<void> {
  if (!listening) listen();
  while (unread === 0) {
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
  }
  unread -= 1;
}

function listen(): void {
  listening = true;
  process.stdin.setEncoding('utf8').on('data', (text: string) => {
    unread += text.split('\n').length - 1;
    wake?.();
    wake = null;
  });
}
