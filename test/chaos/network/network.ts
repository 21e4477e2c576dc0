// A small network in kernel namespaces: servers and clients, each with a cable to one router between them. What it is made of and what goes
// wrong in it is commanded here, with ip, nft, ss and conntrack of Debian; the machine's own network is not touched. Needs root.

import { execFile, spawnSync } from 'node:child_process';
import { promisify } from 'node:util';

/** The kernel, or what it was built with, does not offer this. */
export class Refused extends Error {}

const PREFIX = 'outlast';
const ROUTER = 'router';
const run = promisify(execFile);

export class Network implements AsyncDisposable {
  readonly #names: Set<string> = new Set();
  /** For a run that ends before its time. */
  readonly #onExit = (): void => {
    for (const name of this.#names) spawnSync('ip', ['netns', 'delete', name]);
  };
  #nodes: number = 0;

  /** @throws Refused where the kernel has no network namespaces, or no packet filter in them */
  static async make(): Promise<Network> {
    await sweep();
    const network = new Network();
    process.on('exit', network.#onExit);
    try {
      await network.#addNamespace(ROUTER);
      await network.at(ROUTER, 'sysctl', '-qw', 'net.ipv4.ip_forward=1');
      await network.filter('probe', 'ip saddr 192.0.2.1 drop');
      await network.unfilter('probe');
    } catch (error) {
      await network[Symbol.asyncDispose]();
      throw refusalOf(error as Error);
    }
    return network;
  }

  /** Adds a machine with a cable to the router. */
  async node(name: string): Promise<Node> {
    this.#nodes += 1;
    const node = new Node(this, name, this.#nodes);
    await this.#addNamespace(name);
    const { cable, gateway, address } = node;
    await this.at(ROUTER, 'ip', 'link', 'add', cable, 'type', 'veth', 'peer', 'name', 'up0', 'netns', this.namespace(name));
    await this.at(ROUTER, 'ip', 'addr', 'add', `${gateway}/24`, 'dev', cable);
    await this.at(ROUTER, 'ip', 'link', 'set', cable, 'up');
    await this.at(name, 'ip', 'link', 'set', 'up0', 'up');
    await node.setAddress(address);
    return node;
  }

  /** Adds a rule to what the router forwards, in a table of this name. */
  async filter(table: string, rule: string): Promise<void> {
    await this.at(ROUTER, 'nft', `table inet ${table} { chain forward { type filter hook forward priority 0; ${rule}\n }\n }`);
  }

  async unfilter(table: string): Promise<void> {
    await this.at(ROUTER, 'nft', 'delete', 'table', 'inet', table);
  }

  /** The router forgets all its connections, and from now on gives what comes from `node` this address. */
  async translate(node: Node, address: string): Promise<void> {
    const table = `nat${node.number}`;
    await this.at(ROUTER, 'nft', 'add', 'table', 'ip', table);
    await this.at(ROUTER, 'nft', 'delete', 'table', 'ip', table);
    const rule = `ip saddr ${node.subnet} snat to ${address}`;
    // Nothing comes in that does not belong to a connection from within: else the server's next packet would make one.
    const guard = `chain guard { type filter hook forward priority 0; ip daddr ${node.subnet} ct state new drop\n }`;
    const post = `chain post { type nat hook postrouting priority 100; ${rule}\n }`;
    await this.at(ROUTER, 'nft', `table ip ${table} { ${guard}\n ${post}\n }`);
    await this.at(ROUTER, 'conntrack', '-D', '-s', node.address).catch(nothingToDelete);
  }

  /** Pulls the router's end of a node's cable, or puts it back. */
  async cable(node: Node, state: 'up' | 'down'): Promise<void> {
    await this.at(ROUTER, 'ip', 'link', 'set', node.cable, state);
  }

  /** Runs a command in a namespace. @returns what it prints */
  async at(name: string, ...command: string[]): Promise<string> {
    const { stdout } = await run('ip', ['netns', 'exec', this.namespace(name), ...command]);
    return stdout;
  }

  namespace(name: string): string {
    return `${PREFIX}-${process.pid}-${name}`;
  }

  async #addNamespace(name: string): Promise<void> {
    await run('ip', ['netns', 'add', this.namespace(name)]);
    this.#names.add(this.namespace(name));
    await this.at(name, 'ip', 'link', 'set', 'lo', 'up');
  }

  /** Takes everything away. Cables go with their namespaces. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const name of this.#names) await run('ip', ['netns', 'delete', name]);
    this.#names.clear();
    process.off('exit', this.#onExit);
  }
}

export class Node {
  readonly name: string;
  readonly number: number;
  address: string;
  readonly #network: Network;

  constructor(network: Network, name: string, number: number) {
    this.#network = network;
    this.name = name;
    this.number = number;
    this.address = `10.90.${number}.2`;
  }

  get subnet(): string {
    return `10.90.${this.number}.0/24`;
  }

  get gateway(): string {
    return `10.90.${this.number}.1`;
  }

  /** The router's end of the cable. */
  get cable(): string {
    return `port${this.number}`;
  }

  /** Words in front of a command that is to run on this machine. */
  get prefix(): readonly string[] {
    return ['ip', 'netns', 'exec', this.#network.namespace(this.name)];
  }

  /** Has this address, of its own subnet, and no other. */
  async setAddress(address: string): Promise<void> {
    await this.run('ip', 'addr', 'flush', 'dev', 'up0');
    await this.run('ip', 'addr', 'add', `${address}/24`, 'dev', 'up0');
    await this.run('ip', 'route', 'replace', 'default', 'via', this.gateway);
    this.address = address;
  }

  /** After so many retransmissions, about 0.2 s × 2^n in all, its kernel gives a connection up. */
  async setPatience(retransmissions: number): Promise<void> {
    await this.run('sysctl', '-qw', `net.ipv4.tcp_retries2=${retransmissions}`);
  }

  /** Destroys its TCP connections with that address. @throws Refused where the kernel cannot */
  async killSockets(peer: string): Promise<void> {
    const { stderr } = await run(this.prefix[0] as string, [...this.prefix.slice(1), 'ss', '-K', '-t', 'dst', peer]);
    if (/not supported/i.test(stderr)) throw new Refused(`ss -K: ${stderr.trim()}`);
  }

  run(...command: string[]): Promise<string> {
    return this.#network.at(this.name, ...command);
  }
}

/** Takes away what runs left behind that were killed: namespaces named after a process that is gone. */
async function sweep(): Promise<void> {
  const { stdout } = await run('ip', ['netns', 'list']);
  for (const [, name, pid] of stdout.matchAll(new RegExp(`^(${PREFIX}-(\\d+)-\\w+)`, 'gm'))) {
    if (!lives(Number(pid))) await run('ip', ['netns', 'delete', name as string]);
  }
}

function lives(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Only what the kernel says of itself is a refusal: anything else is a mistake of these commands. */
export function refusalOf(error: Error): Error {
  const refused = /Operation not (permitted|supported)|Protocol not supported|Permission denied/i.test(error.message);
  return refused && !(error instanceof Refused) ? new Refused(error.message) : error;
}

/** conntrack ends with an error where it finds nothing to delete, which is no error here. */
function nothingToDelete(error: Error): void {
  if (!/0 flow entries/.test(error.message)) throw error;
}
