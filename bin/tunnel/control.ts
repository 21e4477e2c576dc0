// The control socket of a running listen or forward: a Unix socket for its own user, JSON lines both ways. `outlast top` is its client.
// Requests: {"do":"list"}, {"do":"kick","id":…}, {"do":"drain"}; each is answered by one line.

import { once } from 'node:events';
import { lstatSync, unlinkSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { json } from '../../lib/framing/json.ts';
import { lines } from '../../lib/framing/lines.ts';
import { type Session, SessionClient, SessionServer } from '../../lib/index.ts';

/** One session, as a table shows it. Times in milliseconds; null where there is none. */
export interface Row {
  readonly id: string;
  readonly state: string;
  /** Who is at the other end, and what the connection leads to. */
  readonly peer: string;
  readonly target: string;
  readonly circuit: number;
  readonly rttMs: number | null;
  readonly outboundBytes: number;
  readonly inboundBytes: number;
  readonly sentBytes: number;
  readonly receivedBytes: number;
  readonly ageMs: number;
  readonly holdLeftMs: number | null;
}

export interface Listing {
  readonly command: string;
  readonly draining: boolean;
  readonly sessions: readonly Row[];
}

/** What the control socket can do to its owner. */
export interface Controlled {
  list(): Listing;
  /** @returns whether there was such a session */
  kick(id: string): boolean;
  drain(): void;
}

/** What is remembered of a session, because the session itself forgets it when it is detached. */
export interface Carried {
  readonly session: Session<Buffer>;
  readonly sinceMs: number;
  peer: string;
  target: string;
}

export function rowOf({ session, sinceMs, peer, target }: Carried): Row {
  const { circuits, rttMs, outboundBytes, inboundBytes, sent, received, holdLeftMs } = session.stats;
  const finite = (value: number): number | null => (Number.isFinite(value) ? value : null);
  return {
    id: session.id,
    state: session.state,
    peer,
    target,
    circuit: circuits,
    rttMs: finite(rttMs),
    outboundBytes,
    inboundBytes,
    sentBytes: sent,
    receivedBytes: received,
    ageMs: performance.now() - sinceMs,
    holdLeftMs: finite(holdLeftMs),
  };
}

/** All that lives, by session: what is listed and kicked. */
export class Table {
  readonly #carried = new Map<string, Carried>();

  /** Until its end. */
  add(session: Session<Buffer>, target: string): Carried {
    const carried = { session, sinceMs: performance.now(), peer: peerOf(session), target };
    this.#carried.set(session.id, carried);
    session.on('attached', () => {
      carried.peer = peerOf(session);
    });
    session.once('close', () => this.#carried.delete(session.id));
    return carried;
  }

  get rows(): Row[] {
    return [...this.#carried.values()].map(rowOf);
  }

  kick(id: string): boolean {
    const found = [...this.#carried.values()].filter(({ session }) => session.id.startsWith(id));
    if (found.length !== 1) return false;
    found[0]?.session.destroy(new Error('kicked by an operator'));
    return true;
  }
}

function peerOf({ circuit }: Session<Buffer>): string {
  if (circuit === undefined) return '';
  return circuit.remoteAddress === '' ? circuit.transport : `${circuit.remoteAddress}:${circuit.remotePort}`;
}

const framing = (): ReturnType<typeof json> => json(lines());

/** Listens on a Unix socket that only this user may use. */
export async function serveControl(path: string, controlled: Controlled): Promise<SessionServer<unknown>> {
  await removeStale(path);
  const server = new SessionServer({ framing: framing(), bare: true });
  server.on('session', (session) => session.receive((request) => session.send(answer(request, controlled))));
  const listener = createServer({ allowHalfOpen: true }, (socket) => server.accept(socket, path));
  server.once('close', () => listener.close());
  // Between bind and chmod anybody could connect; with the mask the socket is born private. Node binds a path before listen() returns.
  const mask = process.umask(0o177);
  try {
    listener.listen({ path });
  } finally {
    process.umask(mask);
  }
  await once(listener, 'listening');
  return server;
}

function answer(request: unknown, controlled: Controlled): unknown {
  const { do: what, id } = (request ?? {}) as { do?: unknown; id?: unknown };
  if (what === 'list') return controlled.list();
  if (what === 'kick' && typeof id === 'string' && id !== '') return { kicked: controlled.kick(id) };
  if (what !== 'drain') return { error: 'known are list, kick with an id, and drain' };
  controlled.drain();
  return { draining: true };
}

/** What a killed process left behind. A socket that somebody listens on stays. */
async function removeStale(path: string): Promise<void> {
  if (!lstatSync(path, { throwIfNoEntry: false })?.isSocket()) return;
  const live = await new Promise<boolean>((resolve) => {
    const socket = connect({ path });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
  if (!live) unlinkSync(path);
}

/** The other end of a control socket: one question at a time. */
export class ControlClient {
  readonly #session: Session<unknown>;
  readonly #answers: AsyncIterator<unknown>;

  private constructor(session: Session<unknown>) {
    this.#session = session;
    this.#answers = session[Symbol.asyncIterator]();
  }

  static async open(path: string): Promise<ControlClient> {
    return new ControlClient(await new SessionClient({ framing: framing(), bare: true, path }).open());
  }

  async ask<Answer>(request: { readonly do: string; readonly id?: string }): Promise<Answer> {
    this.#session.send(request);
    const next = await this.#answers.next();
    if (next.done) throw new Error('the process at the other end of the control socket has ended');
    return next.value as Answer;
  }

  close(): void {
    this.#session.destroy();
  }
}
