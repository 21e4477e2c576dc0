// What a benchmark needs of a library: a server, clients, and links between them that carry whole messages. One file in peers/ for each
// library and way of using it; the workloads know nothing else of them.

/** Where a server is reached; plain data, since it travels to the client's process. */
export interface Endpoint {
  readonly port: number;
  /** Whatever else the peer's client needs, such as a certificate. */
  readonly extra?: string;
}

/** One end of a session, or of a connection where the peer has none. */
export interface Link {
  /** Takes a message; its memory is not touched until the other end has had it. @returns false: wait for Taker.room() before the next */
  send(message: Buffer): boolean;
  close(): void;
}

/** The workload's side of a link. */
export interface Taker {
  /** One whole message, in the form in which the peer hands messages out; valid during the call. */
  take(bytes: Uint8Array, start: number, end: number): void;
  /** The link said false and has room again. */
  room(): void;
}

export interface Serving {
  readonly endpoint: Endpoint;
  /** To every link, as cheaply as the peer can. Absent: one send() for each. */
  broadcast?(message: Buffer): void;
  close(): Promise<void>;
}

export interface Peer {
  serve(accept: (link: Link) => Taker): Promise<Serving>;
  connect(endpoint: Endpoint, taker: Taker): Promise<Link>;
}

/** What a peer is compared in. */
export type Workload = 'W1' | 'W2' | 'W3' | 'W4' | 'W5' | 'W6' | 'W7' | 'W8' | 'W9';

export interface PeerInfo {
  readonly name: string;
  /** Module in peers/ that exports `make(variant): Peer`. */
  readonly module: string;
  readonly variant: string;
  readonly workloads: readonly Workload[];
  /** Runs with --quick too. */
  readonly quick: boolean;
  /** Package whose version is shown; absent for Node itself and for ours. */
  readonly packages: readonly string[];
  /** Why it has no figure, where one would look for it. */
  readonly cannot: Readonly<Partial<Record<Workload, string>>>;
}

/** All that the second way of using a library is compared in, unless the way matters elsewhere. */
const streams: readonly Workload[] = ['W1', 'W2', 'W3'];
const all: readonly Workload[] = [...streams, 'W4', 'W5', 'W7'];

function peer(name: string, module: string, variant: string, workloads: readonly Workload[], packages: readonly string[] = []): PeerInfo {
  return { name, module, variant, workloads, packages, quick: QUICK.has(name), cannot: CANNOT[name] ?? {} };
}

/** The measure of all others: every ratio is to this one, in the same round. */
export const BASELINE = 'net, tuned';

/** What bars are set for, as ratios: narrower than the noise of five rounds, most of which other peers take. */
export const JUDGED: ReadonlySet<string> = new Set([BASELINE, 'outlast', 'outlast, ranges', 'outlast, batches', 'outlast, for await']);

const QUICK: ReadonlySet<string> = new Set([
  BASELINE,
  'net, naive',
  'outlast',
  'outlast, ranges',
  'outlast, batches',
  'outlast, for await',
  'ws',
  'socket.io',
]);

const NO_SESSION = { W6: 'it has no session that could go on' };
const NEW_SESSION = { W6: 'a new connection is a new session' };
const NO_MOMENT = 'connect() is done before there is a connection, and its server knows of a client by its first message';
const DROPS = 'connects again, and drops what was on its way';
const CANNOT: Readonly<Record<string, PeerInfo['cannot']>> = {
  [BASELINE]: NO_SESSION,
  ws: NO_SESSION,
  'engine.io': NO_SESSION,
  grpc: NO_SESSION,
  yamux: NO_SESSION,
  'net-ipc': NO_SESSION,
  rsocket: NO_SESSION,
  'rsocket, resume': { W6: 'a session whose new connection is dropped unanswered does not try again: most are lost' },
  'socket.io': NEW_SESSION,
  'mqtt, QoS 0': NEW_SESSION,
  nats: { W4: 'the memory is that of its broker, another process', W6: DROPS },
  zeromq: { W5: NO_MOMENT, W6: DROPS, W7: NO_MOMENT },
};

export const peers: readonly PeerInfo[] = [
  peer(BASELINE, 'net', 'tuned', [...all, 'W8', 'W9']),
  peer('net, naive', 'net', 'naive', streams),
  peer('net, tuned, TLS', 'net', 'tls', [...streams, 'W5', 'W7']),
  peer('outlast', 'outlast', 'receive', [...all, 'W6', 'W8', 'W9']),
  peer('outlast, ranges', 'outlast', 'ranges', streams),
  peer('outlast, batches', 'outlast', 'batches', streams),
  peer('outlast, for await', 'outlast', 'for await', streams),
  peer('outlast, stream', 'outlast', 'stream', streams),
  peer('outlast, lend', 'outlast', 'lend', ['W3']),
  peer('outlast, 1 ms flush', 'outlast', 'coalesce', ['W7']),
  peer('outlast, TLS', 'outlast', 'tls', [...streams, 'W5']),
  peer('outlast, detach, LMDB', 'durable', 'detach lmdb process', ['W9']),
  peer('outlast, commit, memory', 'durable', 'commit memory', ['W9']),
  peer('outlast, commit, LMDB', 'durable', 'commit lmdb process', ['W9']),
  peer('outlast, commit, LMDB on disk', 'durable', 'commit lmdb disk', ['W9']),
  peer('outlast, commit, Redis', 'durable', 'commit redis everysec', ['W9']),
  peer('outlast, commit, Redis synced', 'durable', 'commit redis always', ['W9']),
  peer('ws', 'ws', 'plain', all, ['ws']),
  peer('ws, bufferutil', 'ws', 'bufferutil', streams, ['ws', 'bufferutil']),
  peer('engine.io', 'engine.io', '', all, ['engine.io', 'engine.io-client']),
  peer('socket.io', 'socket.io', 'plain', [...all, 'W9'], ['socket.io', 'socket.io-client']),
  peer('socket.io, recovery', 'socket.io', 'recovery', [...streams, 'W6'], ['socket.io', 'socket.io-client']),
  peer('socket.io, Redis streams', 'socket.io', 'streams', ['W9'], ['socket.io', 'socket.io-client', '@socket.io/redis-streams-adapter']),
  peer('mqtt, QoS 0', 'mqtt', '0', all, ['mqtt', 'aedes']),
  peer('mqtt, QoS 1', 'mqtt', '1', [...streams, 'W6', 'W9'], ['mqtt', 'aedes']),
  peer('grpc', 'grpc', '', all, ['@grpc/grpc-js']),
  peer('zeromq', 'zeromq', '', [...streams, 'W4'], ['zeromq']),
  peer('rsocket', 'rsocket', 'plain', all, ['rsocket-core', 'rsocket-tcp-client', 'rsocket-tcp-server']),
  peer('rsocket, resume', 'rsocket', 'resume', streams, ['rsocket-core', 'rsocket-tcp-client', 'rsocket-tcp-server']),
  peer('river', 'river', '', [...all, 'W6'], ['@replit/river']),
  peer('yamux', 'yamux', '', all, ['@chainsafe/libp2p-yamux']),
  peer('nats', 'nats', '', [...streams, 'W5', 'W7'], ['nats']),
  peer('net-ipc', 'net-ipc', '', all, ['net-ipc', 'msgpackr']),
];
