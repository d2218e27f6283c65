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
  find: (slot: number, generation: number) => SessionListener | undefined,
  streams: ReadonlyMap<number, SessionStream>,
): Pick<NativeHooks, 'sessionStream' | 'sessionDraining' | 'sessionClosed' | 'stream'> {
  return {
    sessionStream: (slot, generation, streamSlot, streamGeneration, bidirectional) =>
      find(slot, generation)?.arrived(streamSlot, streamGeneration, bidirectional),
    sessionDraining: (slot, generation) => find(slot, generation)?.drained(),
    sessionClosed: (slot, generation, clean, closeCode, reason) =>
      find(slot, generation)?.ended(clean ? { closeCode, reason } : null),
    stream: (_slot, generation, event, failure) => streams.get(generation)?.hear(event, failure),
  };
}
