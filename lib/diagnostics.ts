// What operators can see without touching the application: diagnostics_channel events and NODE_DEBUG=outlast.
import { type Channel, channel } from 'node:diagnostics_channel';
import { debuglog } from 'node:util';
import type { CircuitInfo } from './circuit.ts';
import type { SessionError } from './errors.ts';

/** Every event is published as `outlast:session.<name>` with `{ id, detail }`; ids are public, secrets are never in it. */
export type DiagnosticName = 'open' | 'attached' | 'detached' | 'closed' | 'rejected' | 'store';

const channels: Readonly<Record<DiagnosticName, Channel>> = {
  open: channel('outlast:session.open'),
  attached: channel('outlast:session.attached'),
  detached: channel('outlast:session.detached'),
  closed: channel('outlast:session.closed'),
  rejected: channel('outlast:session.rejected'),
  store: channel('outlast:session.store'),
};

const debug = debuglog('outlast');

/** @param who anything with a public id; a circuit that was refused before it had one is `{ id: '' }` */
export function report(name: DiagnosticName, who: { readonly id: string }, detail: CircuitInfo | SessionError | undefined): void {
  const target = channels[name];
  if (target.hasSubscribers) target.publish({ id: who.id, detail });
  if (debug.enabled) debug('%s %s %s', name, who.id, detail instanceof Error ? detail.message : (detail?.remoteAddress ?? ''));
}
