// ProxyGate: stands before a listening socket. A connection from a trusted proxy must begin with a PROXY header, which is taken off and
// remembered; any other connection passes as it is, so that nobody else can claim an address.
import { BlockList, isIP, type Server, type Socket } from 'node:net';
import { SessionError } from './errors.ts';
import { invalid, type ProxyProtocolOptions, type Settings } from './options.ts';
import { type ProxiedSource, parseProxyHeader } from './proxy-protocol.ts';
import { Alarm } from './runtime.ts';

export class ProxyGate {
  readonly #trusted: BlockList;
  readonly #settings: Settings<unknown>;
  readonly #rejected: (error: SessionError, socket: Socket) => void;
  // A TLS socket does not name the socket below it, but has the same addresses.
  readonly #sources = new Map<string, ProxiedSource>();
  // Connections whose header is not complete, oldest first.
  readonly #waiting = new Set<Socket>();

  /** @throws SessionError ERR_INVALID_OPTION for what is neither address nor CIDR. */
  constructor(options: ProxyProtocolOptions, settings: Settings<unknown>, rejected: (error: SessionError, socket: Socket) => void) {
    this.#trusted = parseTrust(options);
    this.#settings = settings;
    this.#rejected = rejected;
  }

  /** Puts itself before whatever listens to the server's connections. */
  guard(server: Server): void {
    const behind = server.listeners('connection');
    server.removeAllListeners('connection');
    server.on('connection', (socket: Socket) => {
      const pass = (): void => {
        for (const listener of behind) listener.call(server, socket);
      };
      // Reset before we looked at it: nobody knows any more who it was.
      if (socket.remoteAddress === undefined && typeof server.address() !== 'string') socket.destroy();
      else if (this.#trusts(socket)) this.#await(socket, pass);
      else pass();
    });
  }

  /** Who is at the other end of the proxy; undefined where there is none. */
  sourceOf(socket: Socket): ProxiedSource | undefined {
    return this.#sources.get(nameOf(socket));
  }

  /** Ends the connections that wait for their header. */
  close(): void {
    for (const socket of this.#waiting) socket.destroy();
  }

  #trusts(socket: Socket): boolean {
    const address = plain(socket.remoteAddress ?? '');
    const family = isIP(address);
    return family !== 0 && this.#trusted.check(address, family === 4 ? 'ipv4' : 'ipv6');
  }

  #await(socket: Socket, pass: () => void): void {
    const { runtime, limits } = this.#settings;
    let bytes: Buffer = Buffer.alloc(0);
    let check = false;
    const stop = (): void => {
      runtime.disarm(alarm);
      this.#waiting.delete(socket);
      socket.off('readable', onReadable).off('end', onEnd).off('close', stop).off('error', ignore);
    };
    const refuse = (error: SessionError): void => {
      stop();
      socket.on('error', ignore).destroy();
      this.#rejected(error, socket);
    };
    const onReadable = (): void => {
      for (let chunk = socket.read() as Buffer | null; chunk !== null; chunk = socket.read() as Buffer | null) {
        bytes = Buffer.concat([bytes, chunk]);
        const header = parseProxyHeader(bytes);
        if (header === 'bad') return refuse(new SessionError('ERR_NOT_OUR_PROTOCOL', 'a trusted proxy sent no PROXY header'));
        if (header === 'more') continue;
        // The proxy itself: a check of the balancer, unless something follows.
        check = header.source === undefined;
        if (check && bytes.length === header.bytes) continue;
        stop();
        this.#remember(socket, header.source);
        if (bytes.length > header.bytes) socket.unshift(bytes.subarray(header.bytes));
        return pass();
      }
    };
    const onEnd = (): void => {
      // A check of the balancer, with or without a header, is no reason to tell anybody.
      if (bytes.length === 0 || check) socket.destroy();
      else refuse(new SessionError('ERR_NOT_OUR_PROTOCOL', 'a trusted proxy sent half a PROXY header'));
    };
    const alarm = new Alarm(() => refuse(new SessionError('ERR_HANDSHAKE_TIMEOUT', 'a PROXY header did not arrive')));
    runtime.arm(alarm, runtime.now() + limits.handshakeMs);
    socket.on('readable', onReadable).on('end', onEnd).on('close', stop).on('error', ignore);
    this.#waiting.add(socket);
    if (this.#waiting.size <= limits.unfinished) return;
    const oldest = this.#waiting.values().next();
    if (!oldest.done) oldest.value.destroy();
  }

  #remember(socket: Socket, source: ProxiedSource | undefined): void {
    if (source === undefined) return;
    const name = nameOf(socket);
    this.#sources.set(name, source);
    socket.once('close', () => this.#sources.delete(name));
  }
}

function nameOf(socket: Socket): string {
  return `${socket.remoteAddress} ${socket.remotePort} ${socket.localAddress} ${socket.localPort}`;
}

function parseTrust({ trust }: ProxyProtocolOptions): BlockList {
  if (!Array.isArray(trust) || trust.length === 0) throw invalid('proxyProtocol.trust', 'must be a list of addresses or CIDR ranges');
  const list = new BlockList();
  for (const entry of trust as readonly unknown[]) {
    const [, address = '', prefix] = /^([^/]*)(?:\/(\d{1,3}))?$/.exec(String(entry)) ?? [];
    const family = isIP(address);
    const bits = family === 4 ? 32 : 128;
    if (family === 0 || Number(prefix ?? bits) > bits)
      throw invalid('proxyProtocol.trust', `has ${JSON.stringify(entry)}, no address and no CIDR range`);
    list.addSubnet(address, Number(prefix ?? bits), family === 4 ? 'ipv4' : 'ipv6');
  }
  return list;
}

/** An IPv4 address as a socket that listens on `::` names it. */
function plain(address: string): string {
  return address.startsWith('::ffff:') ? address.slice(7) : address;
}

function ignore(): void {}
