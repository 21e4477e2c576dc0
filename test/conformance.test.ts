// The conformance suite against our own server, over each transport and with every option that the wire shows. `npm run conformance` runs
// the same cases against any implementation.

import { createServer, type Server } from 'node:net';
import { expect } from 'chai';
import type { Target } from './conformance/circuit.ts';
import { sections, traitsOf } from './conformance/sections.ts';
import { echoServer, type ServeOptions } from './conformance/serve.ts';
import { type Case, count, type Result, run, table } from './conformance/suite.ts';

const psk = Buffer.from('9f3c61d2a80be4577c15f06e2b93d84a', 'hex');
const kinds: readonly [name: string, options: ServeOptions][] = [
  ['TCP', {}],
  ['TLS', { tls: true }],
  ['TCP with psk and challenge', { psk, challenge: true }],
];

function target(port: number, options: ServeOptions = {}): Target {
  return { host: '127.0.0.1', port, tls: options.tls ?? false, psk: options.psk, patienceMs: 10_000, quietMs: 100 };
}

describe('conformance', () => {
  let results: ReadonlyMap<string, readonly Result[]>;

  before('the cases wait far more than they work: all at once', async function () {
    this.timeout(90_000);
    results = new Map(
      await Promise.all(
        kinds.map(async ([name, options]): Promise<[string, Result[]]> => {
          await using server = echoServer(options);
          const place = target((await server.listen({ port: 0 })).port, options);
          return [name, await run(sections, place, await traitsOf(place), { parallel: 24 })];
        }),
      ),
    );
  });

  for (const [name] of kinds) {
    describe(name, () => {
      for (const { title } of sections) {
        it(title, () => {
          const found = (results.get(name) ?? []).filter(({ section }) => section === title);
          const bad = found.filter(({ outcome }) => outcome === 'FAIL' || outcome === 'warn');
          expect(found.length).to.be.greaterThan(0);
          expect(bad.length, table(bad)).to.equal(0);
        });
      }

      it('most cases were run', () => {
        const { pass, skip } = count(results.get(name) ?? []);
        expect(pass).to.be.at.least(250);
        expect(skip).to.be.at.most(30);
      });
    });
  }

  it('every case is left out nowhere or somewhere, but not everywhere', () => {
    const runs = [...results.values()];
    const never = (runs[0] ?? []).filter((_, at) => runs.every((found) => found[at]?.outcome === 'skip'));
    expect(table(never).trim()).to.match(/^0 cases/);
  });
});

describe('conformance suite', () => {
  const all: readonly Case[] = sections.flatMap(({ cases }) => cases);

  it('has at least 250 cases, each with a name of its own and rules of PROTOCOL.md', () => {
    expect(all.length).to.be.at.least(250);
    expect(new Set(all.map(({ name, rule }) => `${rule} ${name}`)).size).to.equal(all.length);
    for (const { rule } of all) expect(rule).to.match(/^([TSHVOKRXEFACLB]-\d+|§3\.1)(, ([A-Z]-\d+|§3\.1))*$/);
  });

  it('names only rules that are in PROTOCOL.md, and most of those that an accepting side can break', async () => {
    const { readFile } = await import('node:fs/promises');
    const text = await readFile(new URL('../PROTOCOL.md', import.meta.url), 'utf8');
    const written = new Set([...text.matchAll(/^- \*\*([A-Z]-\d+)\*\*/gm)].map(([, rule]) => rule));
    const named = new Set(all.flatMap(({ rule }) => rule.split(', ')).filter((rule) => rule !== '§3.1'));
    expect([...named].filter((rule) => !written.has(rule))).to.deep.equal([]);
    expect(named.size).to.be.at.least(70);
  });

  it('fails where nobody speaks the protocol', async () => {
    for (const answer of ['', 'HTTP/1.1 400 Bad Request\r\n\r\n', undefined]) {
      await using stranger = await Stranger.listen(answer);
      const place = { ...target(stranger.port), patienceMs: 200 };
      let told = '';
      await traitsOf(place).catch((error: Error) => {
        told = error.message;
      });
      expect(told).to.match(answer === undefined ? /did not come/ : answer === '' ? /ended before/ : /no flight/);
      const some = sections.filter(({ title }) => title === 'CONFIRM' || title === 'Clean end');
      const found = await run(some, place, { TLS: false, challenge: false, psk: false }, { parallel: 24 });
      expect(count(found).pass).to.equal(0);
    }
  });
});

/** Answers what comes with the same few bytes and an end, or with nothing at all. */
class Stranger implements AsyncDisposable {
  readonly #server: Server;
  port: number = 0;

  private constructor(answer: string | undefined) {
    this.#server = createServer((socket) => {
      socket.on('error', () => {});
      socket.on('data', () => {
        if (answer !== undefined) socket.end(answer);
      });
    });
  }

  static async listen(answer: string | undefined): Promise<Stranger> {
    const stranger = new Stranger(answer);
    await new Promise<void>((resolve) => stranger.#server.listen(0, '127.0.0.1', resolve));
    stranger.port = (stranger.#server.address() as { port: number }).port;
    return stranger;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
