// outlast doctor: looks at the way to a listening end step by step, and says at the first one that fails what is wrong and what to do.

import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { isIP } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { type Session, SessionClient, SessionError } from '../../lib/index.ts';
import type { Command, Given } from '../command.ts';
import { type DialOptions, dialFlags, dialOptions } from '../tunnel/ends.ts';
import { type Report, requestBytes } from '../tunnel/request.ts';
import { dial, reset } from '../tunnel/splice.ts';
import { type Place, place, showDuration, showPlace, showSize } from '../values.ts';

const { wait: _wait, target: _target, hold: _hold, window: _window, heartbeat: _heartbeat, ...doctorFlags } = dialFlags;

export const doctor: Command = {
  name: 'doctor',
  summary: 'looks at the way to a listening end, and says what is wrong with it',
  usage: ['doctor HOST:PORT'],
  about: `Looks up the name, connects, shakes hands, asks the listening end for a report, measures the round trip, and has its session
taken up again over a new connection. At the first step that fails it says why that is likely and what to do: another
protocol, another framing, TLS on one side only, another key, a balancer that sends connections to different processes.

With --idle it also stays silent for so long, and sees whether the path forgets the connection (a NAT, a firewall).`,
  examples: [
    ['outlast doctor gate:7000', 'a few seconds'],
    ['outlast doctor gate:7000 --idle 4m', 'is the heartbeat short enough for what is between?'],
  ],
  flags: {
    ...doctorFlags,
    hold: { ...(_hold as NonNullable<typeof _hold>), fallback: '1m' },
    window: _window as NonNullable<typeof _window>,
    idle: { value: 'TIME', text: 'stay silent for so long, at most 5m' },
    heartbeat: { value: 'TIME', text: 'the heartbeat to examine; default 15s, with --idle as long as that' },
    json: { text: 'the findings as one JSON object' },
  },
  words: [1, 1],
  run: async (given) => {
    const examination = new Examination(given);
    await examination.run();
    return examination.tell();
  },
};

interface Finding {
  readonly step: string;
  readonly ok: boolean;
  readonly text: string;
}

/** Ends the examination: what comes behind would only fail too. */
class Found extends Error {
  override readonly name = 'Found';
}

const ANSWER_MS = 5_000;
/** A refusal is not told while the first connection still serves: time is the only sign. */
const RESUME_MS = 6_000;
const GOODBYE_MS = 1_000;
const ROUND_TRIPS = 20;
const HEARTBEAT_MOST_MS = 300_000;

class Examination {
  readonly #given: Given;
  readonly #there: Place;
  readonly #options: DialOptions;
  readonly #idleMs: number;
  readonly #findings: Finding[] = [];

  constructor(given: Given) {
    this.#given = given;
    this.#there = place('HOST:PORT', given.word(0));
    this.#idleMs = Math.min(given.duration('idle') ?? 0, HEARTBEAT_MOST_MS);
    this.#options = { ...dialOptions(given, this.#there, this.#idleMs || undefined), metadata: requestBytes({ ask: 'report' }) };
  }

  async run(): Promise<void> {
    try {
      await this.#step('name', () => this.#name());
      await this.#step('connect', () => this.#connect());
      const client = new SessionClient<Buffer>(this.#options);
      try {
        await this.#withSession(client);
      } finally {
        // In order, so that the other end has nothing to report.
        for (const session of client.sessions) await session.close({ timeoutMs: GOODBYE_MS }).catch(() => session.destroy());
      }
    } catch (error) {
      if (!(error instanceof Found)) throw error;
    }
  }

  async #withSession(client: SessionClient<Buffer>): Promise<void> {
    let session: Session<Buffer> | undefined;
    await this.#step('handshake', async () => {
      session = await this.#open(client);
      const { circuit, stats } = session;
      const transport = circuit?.tlsVersion ?? (circuit?.transport === 'unix' ? 'Unix socket' : 'no TLS');
      return `protocol 1, ${transport}, heartbeat ${showDuration(stats.heartbeatMs)}, held for ${showDuration(stats.holdMs)}`;
    });
    const opened = session as unknown as Session<Buffer>;
    const bytes = opened[Symbol.asyncIterator]();
    await this.#step('report', () => this.#report(bytes));
    await this.#step('round trip', () => this.#roundTrip(opened, bytes));
    await this.#step('resume', () => this.#resume(client, opened));
    if (this.#idleMs > 0) await this.#step('idle', () => this.#idle(opened, bytes));
  }

  /** @returns the exit code */
  tell(): number {
    const ok = this.#findings.every((finding) => finding.ok);
    if (this.#given.has('json')) process.stdout.write(`${JSON.stringify({ ok, findings: this.#findings })}\n`);
    else process.stdout.write(ok ? 'all is well\n' : '');
    return ok ? 0 : 1;
  }

  async #step(step: string, look: () => Promise<string>): Promise<void> {
    const terminal = process.stderr.isTTY && !this.#given.has('json');
    if (terminal) process.stderr.write(`     ${step} ...`);
    let finding: Finding;
    try {
      finding = { step, ok: true, text: await look() };
    } catch (error) {
      finding = { step, ok: false, text: (error as Error).message };
    }
    if (terminal) process.stderr.write('\r\x1b[K');
    this.#findings.push(finding);
    if (!this.#given.has('json')) process.stdout.write(`${mark(finding.ok)} ${step.padEnd(10)} ${finding.text}\n`);
    if (!finding.ok) throw new Found(step);
  }

  async #name(): Promise<string> {
    if ('path' in this.#there || isIP(this.#there.host) !== 0) return `${showPlace(this.#there)} needs no look-up`;
    const startMs = performance.now();
    const found = await lookup(this.#there.host, { all: true }).catch((error: NodeJS.ErrnoException) => {
      throw new Error(`${(this.#there as { host: string }).host} is not found (${error.code}): check the name, and this machine's DNS`);
    });
    return `${found.map(({ address }) => address).join(', ')} in ${showDuration(performance.now() - startMs)}`;
  }

  async #connect(): Promise<string> {
    const startMs = performance.now();
    const socket = await dial(this.#there, new AbortController().signal);
    const tookMs = performance.now() - startMs;
    reset(socket);
    return `${showPlace(this.#there)} takes connections, in ${showDuration(tookMs)}`;
  }

  async #open(client: SessionClient<Buffer>): Promise<Session<Buffer>> {
    try {
      return await client.open({ signal: AbortSignal.timeout(2 * ANSWER_MS) });
    } catch (error) {
      if (!SessionError.is(error)) throw error;
      const other = this.#options.tls === undefined ? await this.#speaksTls() : await this.#speaksWithoutTls();
      throw new Error(other ?? `${error.code}: ${error.message}`);
    }
  }

  /** Where no session came about without TLS: is it that the other end has it? */
  async #speaksTls(): Promise<string | undefined> {
    const name = this.#given.text('server-name') ?? ('host' in this.#there && isIP(this.#there.host) === 0 ? this.#there.host : undefined);
    const socket = connectTls({
      ...this.#there,
      ...(name === undefined ? {} : { servername: name }),
      rejectUnauthorized: false,
      ALPNProtocols: ['outlast/1'],
    });
    try {
      await once(socket, 'secureConnect', { signal: AbortSignal.timeout(ANSWER_MS) });
      const { subject, valid_to: until } = socket.getPeerCertificate();
      const certificate = `its certificate is for ${subject?.CN ?? 'no name'}, until ${until}`;
      return `the other end speaks TLS, and this one does not: add --tls (${certificate})`;
    } catch {
      return undefined;
    } finally {
      socket.on('error', () => {});
      socket.destroy();
    }
  }

  async #speaksWithoutTls(): Promise<string | undefined> {
    const { tls: _, ...plain } = this.#options;
    const client = new SessionClient<Buffer>(plain);
    let speaks = true;
    try {
      (await client.open({ signal: AbortSignal.timeout(ANSWER_MS) })).destroy();
    } catch (error) {
      // These are answers in our protocol.
      speaks =
        SessionError.is(error) &&
        ['ERR_AUTH', 'ERR_KEY_METHOD', 'ERR_HANDSHAKE', 'ERR_FRAMING_MISMATCH', 'ERR_VERSION'].includes(error.code);
    }
    return speaks ? 'the other end speaks without TLS, and this one with it: leave --tls out, or give it to the listening end' : undefined;
  }

  async #report(bytes: AsyncIterator<Buffer>): Promise<string> {
    let text = '';
    while (!text.includes('\n')) {
      const next = await within(ANSWER_MS, bytes.next());
      if (next === undefined || next.done) throw new Error("it keeps sessions, but it is not 'outlast listen': no report came");
      text += next.value;
    }
    const report = JSON.parse(text) as Report;
    const { version, target, targetError, targetMs, sessions, window } = report;
    if (targetError !== '' && target !== '') throw new Error(`outlast ${version}, but its target is out of reach: ${targetError}`);
    const leads = target === '' ? 'targets by name only' : `target ${target} answers in ${showDuration(targetMs)}`;
    return `outlast ${version}, ${leads}, ${sessions} other sessions, window ${showSize(window)}`;
  }

  async #roundTrip(session: Session<Buffer>, bytes: AsyncIterator<Buffer>): Promise<string> {
    const timesMs: number[] = [];
    for (let i = 0; i < ROUND_TRIPS; i++) {
      const startMs = performance.now();
      await echo(session, bytes);
      timesMs.push(performance.now() - startMs);
    }
    timesMs.sort((a, b) => a - b);
    return `${showDuration(timesMs[ROUND_TRIPS / 2] as number)} in the middle, ${showDuration(timesMs.at(-1) as number)} at most`;
  }

  async #resume(client: SessionClient<Buffer>, session: Session<Buffer>): Promise<string> {
    const startMs = performance.now();
    const attached = once(session, 'attached').then(
      () => true,
      () => false,
    );
    const refused = new Promise<Error>((resolve) => session.once('close', (cause) => resolve(cause ?? new Error('it ended'))));
    client.nudge();
    const result = await within(RESUME_MS, Promise.race([attached, refused]));
    if (result !== true) {
      const why = result instanceof Error ? result.message : `no answer within ${showDuration(RESUME_MS)}`;
      throw new Error(`not taken up over a second connection (${why}). A balancer that sends connections to different processes does that`);
    }
    return `taken up again over a new connection in ${showDuration(performance.now() - startMs)}`;
  }

  async #idle(session: Session<Buffer>, bytes: AsyncIterator<Buffer>): Promise<string> {
    const { circuits, heartbeatMs } = session.stats;
    const startMs = performance.now();
    let lostMs = 0;
    session.once('detached', () => {
      lostMs = performance.now() - startMs;
    });
    await delay(this.#idleMs);
    await echo(session, bytes);
    const silence = `with at most ${showDuration(Math.min(heartbeatMs, this.#idleMs))} of silence`;
    if (session.stats.circuits === circuits) return `the connection stayed for ${showDuration(this.#idleMs)} ${silence}`;
    const advice = 'The session went on, but give both ends a --heartbeat well below that';
    throw new Error(`the connection was lost after ${showDuration(lostMs)} ${silence}: the path forgets it. ${advice}`);
  }
}

/** Something there and back. */
async function echo(session: Session<Buffer>, bytes: AsyncIterator<Buffer>): Promise<void> {
  session.send(Buffer.from('echo'));
  for (let left = 4; left > 0; ) {
    const next = await within(RESUME_MS, bytes.next());
    if (next === undefined || next.done) throw new Error(`no answer within ${showDuration(RESUME_MS)}`);
    left -= next.value.length;
  }
}

async function within<T>(ms: number, awaited: Promise<T>): Promise<T | undefined> {
  const stop = new AbortController();
  const late = delay(ms, undefined, { signal: stop.signal }).catch(() => undefined);
  try {
    return await Promise.race([awaited, late]);
  } finally {
    stop.abort();
  }
}

function mark(ok: boolean): string {
  if (!process.stdout.isTTY || process.env.NO_COLOR !== undefined) return ok ? 'ok  ' : 'FAIL';
  return ok ? '\x1b[32mok  \x1b[0m' : '\x1b[31mFAIL\x1b[0m';
}
