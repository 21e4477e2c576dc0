// Shared messages: one message in, encoded once; out come parts that the replay of any number of sessions refers to.
import type { Encoder, Framing } from '../framing/framing.ts';
import { Egress } from './egress.ts';
import type { Segment } from './replay.ts';
import type { CoreLimits } from './session-core.ts';

export class SharedEncoder<Message> {
  readonly #encoder: Encoder<Message>;
  // Messages stand in blocks one behind the other, which nobody fills again: each lives as long as some session refers to it.
  readonly #egress: Egress;

  constructor(framing: Framing<Message>, limits: CoreLimits) {
    this.#encoder = framing.encoder(limits);
    this.#egress = new Egress(Infinity, limits.checkLent);
  }

  /** @param lend keep a payload above 4 KiB by reference @throws SessionError of the framing: ERR_INVALID_MESSAGE, ERR_MESSAGE_TOO_LARGE */
  encode(message: Message, lend: boolean): readonly Segment[] {
    const egress = this.#egress;
    const { end } = egress;
    egress.lending = lend;
    try {
      this.#encoder.encode(message, egress);
    } catch (error) {
      egress.truncate(end);
      throw error;
    }
    egress.seal();
    return egress.replay.take();
  }
}
