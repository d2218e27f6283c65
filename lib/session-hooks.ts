import type { NativeHooks } from '../binding.cjs';
import type { SessionStream } from './session-streams.js';
import type { WebTransportCloseInfo } from './webtransport.js';

/** What hears of a session. */
export interface SessionListener {
  /** The peer opened a stream. */
  arrived(slot: number, generation: number, bidirectional: boolean): void;
  /** The peer asks for the session to be wound up. */
  drained(): void;
  /** The peer ended it; null: it broke off. */
  ended(info: WebTransportCloseInfo | null): void;
}

/** The hooks of sessions and their streams, each handed to the one it is for; what nobody has any more is not. */
export function sessionHooks(
  find: (generation: number) => SessionListener | undefined,
  streams: ReadonlyMap<number, SessionStream>,
): Pick<NativeHooks, 'sessionStream' | 'sessionDraining' | 'sessionClosed' | 'stream'> {
  return {
    sessionStream: (_slot, generation, streamSlot, streamGeneration, bidirectional) =>
      find(generation)?.arrived(streamSlot, streamGeneration, bidirectional),
    sessionDraining: (_slot, generation) => find(generation)?.drained(),
    sessionClosed: (_slot, generation, clean, closeCode, reason) =>
      find(generation)?.ended(clean ? { closeCode, reason } : null),
    stream: (_slot, generation, event, failure) => streams.get(generation)?.hear(event, failure),
  };
}
