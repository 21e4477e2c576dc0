// Bare sessions: a framing over one connection, for peers that do not speak the session protocol. No handshake, no resume.
import type { Circuit } from './circuit.ts';
import { BareCore } from './core/bare-core.ts';
import { SessionDriver } from './driver.ts';
import type { Settings } from './options.ts';
import { Session } from './session.ts';

export interface BareSession<Message> {
  readonly session: Session<Message>;
  /** Begins to read and write; called once the application knows the session. */
  readonly start: () => void;
}

/** @param onEnd the session is over */
export function bareSession<Message>(circuit: Circuit, settings: Settings<Message>, onEnd: () => void): BareSession<Message> {
  const core = new BareCore(settings.rules, settings.window);
  const driver = new SessionDriver(core, settings, { detached: nothing, noticed: nothing, ended: onEnd });
  const id = settings.runtime.randomBytes(16).toString('hex');
  const session = new Session(driver, { id, principal: undefined, metadata: Buffer.alloc(0), restored: false });
  return { session, start: () => driver.attach(circuit, core.positions(), core.positions(), 0, Buffer.alloc(0)) };
}

function nothing(): void {}
