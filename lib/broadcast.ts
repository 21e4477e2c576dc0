// Broadcaster: one message to many sessions. Encoded once; each session refers to the same bytes, and says for itself whether it took it.
import { SharedEncoder } from './core/shared.ts';
import { SessionError } from './errors.ts';
import type { Settings } from './options.ts';
import type { SendOptions, Session } from './session.ts';

export interface BroadcastOptions<Message> extends SendOptions {
  /** Which sessions; those of another server only with the same framing. Default: all of this server. */
  readonly to?: Iterable<Session<Message>>;
}

/** What became of a broadcast, session by session. */
export interface Broadcast<Message> {
  /** How many have taken the message: it is delivered to each of them, or handed back in the error of its `close`. */
  readonly taken: number;
  /** Of these, those that have much to carry already: send() would have returned false. Wait for their `drain`, or end them. */
  readonly full: readonly Session<Message>[];
  /** Who has not taken it, each with what send() would have thrown: ERR_BUFFER_FULL, ERR_MESSAGE_TOO_LARGE, ERR_ENDED, ERR_CLOSED. */
  readonly refused: readonly { readonly session: Session<Message>; readonly error: SessionError }[];
}

export class Broadcaster<Message> {
  readonly #encoder: SharedEncoder<Message>;
  readonly #framing: string;

  constructor(settings: Settings<Message>) {
    this.#encoder = new SharedEncoder(settings.framing, settings.rules.limits);
    this.#framing = settings.framing.name;
  }

  send(message: Message, to: Iterable<Session<Message>>, lend: boolean): Broadcast<Message> {
    const parts = this.#encoder.encode(message, lend);
    let taken = 0;
    const full: Session<Message>[] = [];
    const refused: { readonly session: Session<Message>; readonly error: SessionError }[] = [];
    for (const session of to) {
      try {
        if (!session.share(parts, this.#framing)) full.push(session);
        taken++;
      } catch (error) {
        if (!SessionError.is(error)) throw error;
        refused.push({ session, error });
      }
    }
    return { taken, full, refused };
  }
}
