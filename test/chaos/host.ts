// A process of a chaos run: holds servers and clients and the applications on them. Commands of the parent flow in over IPC, reports flow
// out through REPORT_FD. It lives as long as its parent.

import { readdirSync } from 'node:fs';
import { SessionClient } from '../../lib/client.ts';
import type { Framing } from '../../lib/framing/framing.ts';
import { lengthPrefix } from '../../lib/framing/length-prefix.ts';
import { lines } from '../../lib/framing/lines.ts';
import type { Limits } from '../../lib/options.ts';
import { SessionServer } from '../../lib/server.ts';
import type { Session } from '../../lib/session.ts';
import { clientTls, serverTls } from '../support/tls.ts';
import { Conversation, type Talk } from './conversation.ts';
import type { FramingName, Message } from './messages.ts';
import { type Side, say } from './reports.ts';

/** Options of a server or a client, as far as they cross to another process. */
export interface HostOptions {
  readonly framing: FramingName;
  readonly heartbeatMs: number;
  readonly holdMs: number;
  readonly window: number;
  readonly tls: boolean;
  readonly limits: Partial<Limits>;
}

/** `key` names the scenario; a host has at most one server or client of each. Every command is answered by `done` or `failed`. */
export type Command = { readonly key: string } & (
  | { readonly act: 'serve'; readonly host: string; readonly port: number; readonly options: HostOptions }
  | {
      readonly act: 'dial';
      readonly host: string;
      readonly port: number;
      readonly options: HostOptions;
      readonly talk: Talk;
      readonly sessions: number;
    }
  /** All sessions of this scenario come to their end. */
  | { readonly act: 'finish' }
  /** A new circuit at once for every session of this scenario. */
  | { readonly act: 'nudge' }
  /** Lets go of the server or client; its sessions have ended. */
  | { readonly act: 'close' }
  /** What this process holds, after garbage collection where it runs with --expose-gc. */
  | { readonly act: 'census' }
);

/** The answer to `census`. */
export interface HostCensus {
  readonly heapBytes: number;
  readonly descriptors: number;
  readonly timers: number;
  readonly sessions: number;
}

const TICK_MS = 50;
/** Sessions that are opened at the same time. */
const OPENING_AT_ONCE = 32;
const servers = new Map<string, SessionServer<Message>>();
const clients = new Map<string, SessionClient<Message>[]>();
const talking = new Map<string, Set<Conversation>>();
/** Scenarios that have been told to finish: sessions that are announced afterwards finish at once. */
const finished = new Set<string>();

process.on('message', ({ ticket, command }: { ticket: number; command: Command }) => {
  obey(command).then(
    (value) => say({ what: 'done', ticket, value: value ?? null }),
    (error: Error) => say({ what: 'failed', ticket, why: `${command.act}: ${error.stack}` }),
  );
});
process.on('disconnect', () => process.exit(0));
setInterval(() => say({ what: 'tick' }), TICK_MS);

async function obey(command: Command): Promise<unknown> {
  const { key } = command;
  switch (command.act) {
    case 'serve':
      return serve(command);
    case 'dial':
      return dial(command);
    case 'finish':
      finished.add(key);
      for (const conversation of talking.get(key) ?? []) conversation.finish();
      return null;
    case 'nudge':
      for (const client of clients.get(key) ?? []) client.nudge();
      return null;
    case 'close':
      for (const client of clients.get(key) ?? []) await client.close();
      await servers.get(key)?.close();
      for (const map of [clients, servers, talking]) map.delete(key);
      return null;
    case 'census':
      return census();
  }
}

async function serve({ key, host, port, options }: Command & { act: 'serve' }): Promise<number> {
  const { tls, ...rest } = options;
  const server = new SessionServer<Message>({ ...rest, ...common(options), ...(tls ? { tls: serverTls() } : {}) });
  servers.set(key, server);
  server.on('session', (session) => talk(session, 'far', key, JSON.parse(session.metadata.toString()) as Talk));
  return (await server.listen({ host, port })).port;
}

async function dial({ key, host, port, options, talk: style, sessions }: Command & { act: 'dial' }): Promise<void> {
  const { tls, ...rest } = options;
  const shared = { ...rest, ...common(options), host, port, ...(tls ? { tls: clientTls() } : {}) };
  const held: SessionClient<Message>[] = [];
  clients.set(key, held);
  const open = async (style: Talk): Promise<void> => {
    const client = new SessionClient<Message>({ ...shared, metadata: JSON.stringify(style) });
    held.push(client);
    talk(await client.open({ retry: true }), 'near', key, style);
  };
  for (let i = 0; i < sessions; i += OPENING_AT_ONCE) {
    const count = Math.min(OPENING_AT_ONCE, sessions - i);
    await Promise.all(Array.from({ length: count }, (_, j) => open({ ...style, seed: style.seed + i + j })));
  }
}

/** Each side ends when it is told to, whatever the other one does. */
function common({ framing }: HostOptions): { framing: Framing<Message>; allowHalfOpen: boolean } {
  return { framing: framings[framing], allowHalfOpen: true };
}

function talk(session: Session<Message>, side: Side, key: string, style: Talk): void {
  const set = talking.get(key) ?? new Set<Conversation>();
  talking.set(key, set);
  const conversation: Conversation = new Conversation(session, side, key, style, () => set.delete(conversation));
  set.add(conversation);
  if (finished.has(key)) conversation.finish();
}

function census(): HostCensus {
  const { gc } = globalThis as { gc?: () => void };
  // Twice: what finalizers of the first round let go is garbage of the second.
  gc?.();
  gc?.();
  const { heapUsed, external } = process.memoryUsage();
  const sessions = [...talking.values()].reduce((sum, set) => sum + set.size, 0);
  return {
    heapBytes: heapUsed + external,
    descriptors: readdirSync('/proc/self/fd').length,
    timers: process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length,
    sessions,
  };
}

const framings: Readonly<Record<FramingName, Framing<Message>>> = {
  prefix: lengthPrefix() as unknown as Framing<Message>,
  lines: lines() as unknown as Framing<Message>,
};
