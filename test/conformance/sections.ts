// All cases, in the order of PROTOCOL.md.

import { Failure, Kind, Tag } from './bytes.ts';
import { ending } from './cases/ending.ts';
import { framing } from './cases/frames.ts';
import { opening } from './cases/opening.ts';
import { resuming } from './cases/resume.ts';
import { streaming } from './cases/stream.ts';
import { transport } from './cases/transport.ts';
import type { Target } from './circuit.ts';
import { Bench } from './session.ts';
import type { Section, Traits } from './suite.ts';

export const sections: readonly Section[] = [transport, ...opening, ...resuming, ...framing, ...streaming, ...ending];

/** Asks the target what it is like: a session is opened, and a RESUME shows whether it challenges. */
export async function traitsOf(target: Target): Promise<Traits> {
  const bench = new Bench(target);
  try {
    const session = await bench.open();
    await session.alive();
    const circuit = await bench.dial();
    circuit.write(session.resumeBytes({}, circuit));
    const { kind, fields } = await circuit.flight();
    if (kind === Kind.REJECTED) throw new Failure(`a first, good RESUME got REJECTED(${fields.get(Tag.CODE)?.readUInt16BE(0)})`);
    return { TLS: target.tls, challenge: kind === Kind.CHALLENGE, psk: target.psk !== undefined };
  } finally {
    bench.dispose();
  }
}
