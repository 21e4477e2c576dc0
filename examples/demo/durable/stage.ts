// The durable demo: two server processes over one store behind one changing address, a client process with a store of its own, and between
// them a proxy that cuts. Any of the processes can be killed, and the session moved, at any time.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ChaosProxy, type Plan, type Random } from 'outlast/testing';
import { type Account, nothing } from './account.ts';
import type { ClientReport, NodeReport } from './reports.ts';
import { Role } from './role.ts';

/** Circuits are cut within so many bytes, about a second of the traffic. */
const CUT_BYTES = 20_000;
const POLL_MS = 20;
const PATIENCE_MS = 30_000;

interface Node {
  readonly role: Role<NodeReport>;
  /** 0 while it starts. */
  port: number;
}

export class Stage {
  readonly #folder: string = mkdtempSync(join(tmpdir(), 'outlast-demo-'));
  readonly #nodes: readonly [Node, Node];
  #client: Role<ClientReport> | undefined;
  #proxy: ChaosProxy | undefined;
  /** Which node the address leads to. */
  #here: 0 | 1 = 0;
  #began = 0;
  #over = false;
  #broken: string | undefined;
  attached = false;
  /** Numbers that the client has sent. */
  told = 0;
  /** Answers whose sum was not the client's own. */
  wrong = 0;
  atServer: Account = nothing;
  atClient: Account = nothing;
  moves = 0;

  constructor(spoil: string) {
    const node = (index: 0 | 1): Node => ({
      role: new Role('node', [join(this.#folder, 'nodes'), spoil], (report) => this.#heardNode(index, report)),
      port: 0,
    });
    this.#nodes = [node(0), node(1)];
    // Whatever ends this process, Ctrl-C too.
    process.once('exit', () => {
      void this.#stop();
      rmSync(this.#folder, { recursive: true, force: true });
    });
  }

  /** Resolves when the first answer is there: from then on there is a session that can survive something. */
  async open(seed: number): Promise<void> {
    await this.until('both servers listen', () => this.#nodes.every(({ port }) => port > 0));
    const nodes = this.#nodes;
    const here = (): number => this.#here;
    const target = {
      // Of a server that is being started nobody knows the port yet: nobody listens on port 1.
      get port(): number {
        return nodes[here()]?.port || 1;
      },
    };
    this.#proxy = new ChaosProxy({ target, seed, plan: (_index, random) => cutInTraffic(random) });
    const port = await this.#proxy.listen();
    this.#client = new Role('client', [String(port), join(this.#folder, 'client')], (report) => this.#heardClient(report));
    await this.until('the first answer comes', () => this.atClient.count > 0);
  }

  get cuts(): number {
    return this.#proxy?.stats.cuts ?? 0;
  }

  get serverKills(): number {
    return this.#nodes[0].role.kills + this.#nodes[1].role.kills;
  }

  get clientKills(): number {
    return this.#client?.kills ?? 0;
  }

  get nodeName(): string {
    return 'AB'[this.#here] as string;
  }

  killServer(): void {
    const node = this.#nodes[this.#here];
    node.port = 0;
    node.role.kill();
  }

  killClient(): void {
    this.attached = false;
    this.#client?.kill();
  }

  /** The address leads to the other node. The one before is not told: the store refuses what it would still write. */
  move(): void {
    this.#here = this.#here === 0 ? 1 : 0;
    this.moves++;
    this.cut();
  }

  cut(): void {
    this.#proxy?.cutAll();
  }

  /** Waits until it holds. @throws when it does not come, or something that must not happen has happened */
  async until(what: string, holds: () => boolean): Promise<void> {
    const deadlineMs = performance.now() + PATIENCE_MS;
    while (!holds()) {
      if (this.#broken !== undefined) throw new Error(this.#broken);
      if (performance.now() > deadlineMs) throw new Error(`waited ${PATIENCE_MS / 1000} s in vain until ${what}`);
      await sleep(POLL_MS);
    }
  }

  /** No more numbers and no more faults. Resolves when the session has closed in order at both ends. */
  async finish(): Promise<void> {
    await this.#proxy?.heal();
    this.#client?.say('stop');
    await this.until('the client has all answers and has closed', () => this.#over);
    await this.until('the server knows as much', () => this.atServer.next >= this.told);
  }

  async close(): Promise<void> {
    await this.#stop();
    await this.#proxy?.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** Kills at once, and resolves when all are gone. */
  async #stop(): Promise<void> {
    await Promise.all([this.#client?.stop(), ...this.#nodes.map(({ role }) => role.stop())]);
  }

  #heardNode(index: 0 | 1, { port, began, account, broken }: NodeReport): void {
    this.#broken ??= broken;
    const node = this.#nodes[index];
    if (port !== undefined) node.port = port;
    if (began && ++this.#began > 1) this.#broken ??= 'a second session has begun where the first was to go on';
    if (account !== undefined && index === this.#here) this.atServer = account;
  }

  #heardClient({ told, attached, account, wrong, over, broken }: ClientReport): void {
    this.#broken ??= broken;
    this.told = told ?? this.told;
    this.attached = attached ?? this.attached;
    this.atClient = account ?? this.atClient;
    this.wrong = wrong ?? this.wrong;
    this.#over ||= over === true;
  }
}

function cutInTraffic(random: Random): Plan {
  return { how: random.pick(['fin', 'rst'] as const), cutAfter: { [random.pick(['up', 'down'] as const)]: random.integer(0, CUT_BYTES) } };
}
