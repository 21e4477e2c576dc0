// The echo application that the suite asks for, over our own server. Options in, a server that listens out.

import { lengthPrefix } from '../../lib/framing/length-prefix.ts';
import type { SessionServerOptions } from '../../lib/options.ts';
import { SessionServer } from '../../lib/server.ts';
import type { Session } from '../../lib/session.ts';
import { serverTls } from '../support/tls.ts';

export interface ServeOptions {
  readonly tls?: boolean;
  readonly psk?: Buffer | undefined;
  readonly challenge?: boolean;
}

/** Small windows and marks, so that cases reach them soon. */
export function echoServer({ tls = false, psk, challenge = false }: ServeOptions): SessionServer<Buffer> {
  const options: SessionServerOptions<Buffer> = {
    framing: lengthPrefix(),
    window: 262_144,
    limits: { messageBytes: 131_072, outboxHighWater: 65_536 },
    challenge: challenge ? 'always' : 'auto',
    ...(psk === undefined ? {} : { psk }),
    // Both versions, for the cases about a weaker one.
    ...(tls ? { tls: { ...serverTls(), minVersion: 'TLSv1.2' as const, maxVersion: 'TLSv1.3' as const } } : {}),
  };
  return new SessionServer<Buffer>(options).on('session', (session) => {
    // How a session ends is what the cases look at, from the other side.
    echo(session).catch(() => {});
  });
}

async function echo(session: Session<Buffer>): Promise<void> {
  for await (const message of session) if (!session.send(message)) await session.drained();
}
