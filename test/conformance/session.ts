// A dialing side by hand: it keeps the numbers that PROTOCOL.md asks for and checks every frame against them, and leaves all else to the case.
// Bench: what one case may use. Everything made through it is destroyed with it.

import { randomBytes } from 'node:crypto';
import {
  ack,
  close,
  data,
  EMPTY,
  end,
  Failure,
  type Frame,
  flight,
  frame,
  type Header,
  Kind,
  MAC_BYTES,
  message,
  NO_SESSION,
  numberOf,
  offsetAt,
  type Part,
  type Positions,
  ping,
  positionBytes,
  positionsOf,
  Reject,
  type Reply,
  Tag,
  type Tlv,
  Type,
  u64,
  uint,
} from './bytes.ts';
import { Circuit, type DialOptions, type Target } from './circuit.ts';
import { type KeyPair, type Keys, keyPair, keySchedule, mac, x25519 } from './keys.ts';

export const FRAMING = 'length-prefix/4/big';
export const Method = { EXPORTER: 1, X25519: 2, PSK: 4 } as const;

export interface OpenFields {
  /** Without it: all that the connection and the target have. */
  readonly methods?: number;
  readonly framing?: string;
  readonly window?: number;
  readonly heartbeatMs?: number;
  readonly holdMs?: number;
  readonly publicKey?: Buffer;
  /** Put in where they belong by their number. */
  readonly extra?: readonly Tlv[];
  readonly edit?: (tlvs: Tlv[]) => Part[];
  readonly header?: Header;
}

export interface ResumeFields {
  readonly generation?: number | bigint;
  readonly instance?: number | bigint;
  readonly positions?: Partial<Positions> | readonly (number | bigint)[];
  readonly extra?: readonly Tlv[];
  /** Changes the TLVs before the MAC is made: MAC is the last of them. */
  readonly edit?: (tlvs: Tlv[]) => Part[];
  readonly header?: Header;
  /** Makes the MAC instead of the right one. */
  readonly seal?: (input: Buffer, circuit: Circuit) => Buffer;
  /** Changes the flight behind the MAC's back. */
  readonly alter?: (bytes: Buffer) => void;
  /** Written in the same write. */
  readonly behind?: Buffer;
}

/** What came back for a RESUME. */
export interface Answer {
  readonly reply: Reply;
  readonly circuit: Circuit;
  readonly resume: Buffer;
  readonly challenge: Buffer | undefined;
  readonly generation: number;
  /** `received` as it was told. */
  readonly received: number;
  readonly acked: number;
}

/** An OPEN that was written. */
export interface Offer {
  readonly circuit: Circuit;
  readonly bytes: Buffer;
  readonly pair: KeyPair;
  readonly fields: OpenFields;
}

export class Bench {
  readonly target: Target;
  readonly #circuits: Circuit[] = [];

  constructor(target: Target) {
    this.target = target;
  }

  async dial(options?: DialOptions): Promise<Circuit> {
    const circuit = await Circuit.dial(this.target, options);
    this.#circuits.push(circuit);
    return circuit;
  }

  /** The TLVs of an OPEN, in order. */
  openTlvs(circuit: Circuit, publicKey: Buffer, fields: OpenFields): Part[] {
    const { psk } = this.target;
    const usual = (circuit.secrets === undefined ? Method.X25519 : Method.EXPORTER) | (psk === undefined ? 0 : Method.PSK);
    const { methods = usual, framing = FRAMING, window = 65_536, heartbeatMs = 15_000, holdMs = 60_000, extra = [] } = fields;
    const tlvs: Tlv[] = [
      [Tag.NONCE, randomBytes(16)],
      [Tag.KEY_METHODS, uint(1, methods)],
      [Tag.PUBLIC_KEY, publicKey],
      [Tag.FRAMING, Buffer.from(framing, 'latin1')],
      [Tag.WINDOW, uint(4, window)],
      [Tag.HEARTBEAT, uint(4, heartbeatMs)],
      [Tag.HOLD, uint(4, holdMs)],
      [Tag.MAX_VERSION, uint(1, 1)],
    ];
    const wanted = tlvs.filter(([tag]) => tag !== Tag.PUBLIC_KEY || (methods & Method.X25519) !== 0);
    const all = [...wanted, ...extra].sort(byTag);
    return fields.edit === undefined ? all : fields.edit(all);
  }

  /** Builds an OPEN for this circuit. */
  openBytes(circuit: Circuit, fields: OpenFields, pair: KeyPair): Buffer {
    return flight(Kind.OPEN, this.openTlvs(circuit, fields.publicKey ?? pair.publicKey, fields), fields.header);
  }

  /** Writes OPEN on a circuit, by default a new one. */
  async offer(fields: OpenFields = {}, given?: Circuit): Promise<Offer> {
    const circuit = given ?? (await this.dial());
    const pair = keyPair();
    const bytes = this.openBytes(circuit, fields, pair);
    circuit.write(bytes);
    return { circuit, bytes, pair, fields };
  }

  /** Reads OPENED and checks it against O-5 and O-6. */
  async opened(offer: Offer): Promise<Session> {
    const reply = await offer.circuit.flight();
    if (reply.kind === Kind.REJECTED) throw new Failure(`REJECTED(${numberOf(reply, Tag.CODE)}), where OPENED was expected`);
    if (reply.kind !== Kind.OPENED) throw new Failure(`a flight of kind ${reply.kind} in answer to OPEN (H-4)`);
    return new Session(this, offer, reply);
  }

  /** A session that is not confirmed. */
  async provisional(fields: OpenFields = {}, circuit?: Circuit): Promise<Session> {
    return this.opened(await this.offer(fields, circuit));
  }

  /** A session. */
  async open(fields: OpenFields = {}, circuit?: Circuit): Promise<Session> {
    const session = await this.provisional(fields, circuit);
    session.circuit.write(session.confirmFrame());
    return session;
  }

  /** OPEN gets exactly this code: without mac and session id, not longer than OPEN, and behind it the half-close. */
  async refused(offer: Offer, code: number): Promise<Reply> {
    const reply = await offer.circuit.flight();
    expectRejected(reply, code);
    if (!reply.sessionId.equals(NO_SESSION)) throw new Failure('REJECTED in answer to OPEN has a session id (§3.1)');
    if (reply.fields.has(Tag.MAC)) throw new Failure('REJECTED in answer to OPEN has a MAC (X-3)');
    if (reply.bytes.length > offer.bytes.length)
      throw new Failure(`REJECTED has ${reply.bytes.length} bytes, OPEN ${offer.bytes.length} (X-1)`);
    await offer.circuit.halfClosed();
    return reply;
  }

  dispose(): void {
    for (const circuit of this.#circuits) circuit.destroy();
  }
}

export class Session {
  readonly bench: Bench;
  readonly id: Buffer;
  readonly keys: Keys;
  readonly bound: boolean;
  readonly offer: Offer;
  readonly opened: Reply;
  /** Ours and theirs, bytes. */
  readonly window: number;
  readonly peerWindow: number;
  readonly heartbeatMs: number;
  readonly holdMs: number;
  circuit: Circuit;
  generation = 1;
  instance = 1;
  /** Highest own offset put on a circuit. */
  sent = 0;
  /** Of their stream. */
  received = 0;
  acked = 0;
  limit: number;
  /** As they told. */
  peerAcked = 0;
  peerLimit: number;
  peerEnd = -1;
  /** All bytes of both streams. */
  said: Buffer = EMPTY;
  heard: Buffer = EMPTY;
  // What their next DATA or END on this circuit must begin with.
  #cursor = 0;
  #ackedHere = 0;

  constructor(bench: Bench, offer: Offer, opened: Reply) {
    const { circuit, pair, fields } = offer;
    const offered = offeredMethods(offer.bytes);
    const used = numberOf(opened, Tag.KEY_METHODS);
    if ((used & ~offered) !== 0 || (used & ~7) !== 0) throw new Failure(`key methods ${used} used, ${offered} were offered (O-3, H-14)`);
    if ((used & 3) === 0) throw new Failure(`key methods ${used} give no fresh secret (H-14)`);
    if ((used & Method.PSK) !== (offered & Method.PSK))
      throw new Failure(`psk ${offered & Method.PSK ? 'not ' : ''}used against the offer (O-3)`);
    const theirKey = opened.fields.get(Tag.PUBLIC_KEY);
    if ((theirKey !== undefined) !== ((used & Method.X25519) !== 0)) throw new Failure('PUBLIC_KEY of OPENED against its methods (H-14)');
    const exporter = (used & Method.EXPORTER) === 0 ? undefined : circuit.secrets?.exporter;
    if ((used & Method.EXPORTER) !== 0 && exporter === undefined) throw new Failure('the exporter is used without TLS 1.3 (O-3)');
    const shared = theirKey === undefined ? undefined : x25519(pair.privateKey, theirKey);
    const psk = (used & Method.PSK) === 0 ? undefined : bench.target.psk;
    this.bench = bench;
    this.offer = offer;
    this.opened = opened;
    this.circuit = circuit;
    this.id = opened.sessionId;
    this.bound = exporter !== undefined;
    this.keys = keySchedule(offer.bytes, opened.bytes, { exporter, shared, psk });
    this.window = fields.window ?? 65_536;
    this.limit = this.window;
    this.peerWindow = numberOf(opened, Tag.WINDOW);
    this.peerLimit = this.peerWindow;
    this.heartbeatMs = numberOf(opened, Tag.HEARTBEAT);
    this.holdMs = numberOf(opened, Tag.HOLD);
    const heartbeatWanted = Math.max(1000, fields.heartbeatMs ?? 15_000);
    if (this.heartbeatMs > heartbeatWanted || this.heartbeatMs < 1000 || this.heartbeatMs > 300_000) {
      throw new Failure(`a heartbeat of ${this.heartbeatMs} ms was granted, ${heartbeatWanted} asked for (O-5)`);
    }
    if (this.holdMs > (fields.holdMs ?? 60_000)) throw new Failure(`a hold of ${this.holdMs} ms was granted (O-5)`);
    this.verify('opened', [offer.bytes], opened, circuit);
  }

  binding(circuit: Circuit): Buffer {
    return this.bound ? (circuit.secrets?.binding ?? EMPTY) : EMPTY;
  }

  confirmFrame(): Buffer {
    return frame(Type.CONFIRM, mac(this.keys.client, 'confirm', [this.offer.bytes, this.opened.bytes], this.binding(this.circuit)));
  }

  /** The MAC of a flight of the accepting side must be there and right. */
  verify(label: 'opened' | 'resumed' | 'rejected', earlier: readonly Buffer[], reply: Reply, circuit: Circuit): void {
    const input = reply.bytes.subarray(0, reply.bytes.length - MAC_BYTES);
    const expected = mac(this.keys.server, label, [...earlier, input], this.binding(circuit));
    if (!expected.equals(reply.fields.get(Tag.MAC) ?? EMPTY))
      throw new Failure(`the MAC of flight kind ${reply.kind} is wrong or missing (K-5, X-2)`);
  }

  // -- frames

  write(...parts: readonly Uint8Array[]): this {
    this.circuit.write(...parts);
    return this;
  }

  /** DATA with these bytes of the stream, whole messages or not. Not written yet. */
  put(bytes: Buffer): Buffer {
    const out = data(this.sent, bytes);
    this.sent += bytes.length;
    this.said = Buffer.concat([this.said, bytes]);
    return out;
  }

  /** DATA with one message. Written. */
  say(payload: string | Buffer): this {
    return this.write(this.put(message(payload)));
  }

  /** END behind all that was put. Not written yet. */
  fin(): Buffer {
    return end(this.sent++);
  }

  /** The next frame, checked against what it may say. */
  async next(ms?: number): Promise<Frame> {
    const found = await this.circuit.frame(ms);
    this.#check(found);
    return found;
  }

  async frameOf(type: number, ms?: number): Promise<Buffer> {
    for (;;) {
      const found = await this.next(ms);
      if (found.type === type) return found.body;
      if (found.type === Type.CLOSE) throw new Failure(`CLOSE(${found.body.readUInt16BE(0)}), where a frame of type ${type} was expected`);
    }
  }

  /** Everything said comes back, once, in order, and nothing else. */
  async echoed(): Promise<void> {
    while (this.heard.length < this.said.length) await this.frameOf(Type.DATA);
    if (!this.heard.equals(this.said)) throw new Failure('the bytes that came back are not the ones sent (S-1)');
  }

  /** Waits for an ACK of at least this. */
  async ackOf(offset: number, ms?: number): Promise<void> {
    while (this.peerAcked < offset) await this.frameOf(Type.ACK, ms);
  }

  /** Our ACK, of all that came where nothing is said. Not written yet. */
  ackFrame(acked: number = this.received): Buffer {
    this.acked = acked;
    this.limit = Math.max(this.limit, this.acked + this.window);
    return ack(this.acked, this.limit);
  }

  /** The circuit lives: it answers a PING. */
  async alive(): Promise<void> {
    const token = randomBytes(4).toString('hex');
    this.write(ping(token));
    while ((await this.frameOf(Type.PONG)).toString('latin1') !== token);
  }

  /** This is a fault of the circuit: it ends, without CLOSE, and the session can be resumed as if nothing had been (T-6). */
  async faults(...parts: readonly Uint8Array[]): Promise<void> {
    this.write(...parts);
    await this.faulted();
    await this.reattach();
    await this.alive();
  }

  /** The circuit ends without a CLOSE. */
  async faulted(): Promise<void> {
    await this.circuit.ended();
    for (;;) {
      const found = await this.next(0).catch(() => null);
      if (found === null) return;
      if (found.type === Type.CLOSE) throw new Failure(`CLOSE(${found.body.readUInt16BE(0)}) for a fault of the circuit (T-6)`);
    }
  }

  /** CLOSE with this code comes, and the half-close behind it. @returns the detail behind the code */
  async closedWith(code: number): Promise<Buffer> {
    for (;;) {
      const { type, body } = await this.next();
      if (type !== Type.CLOSE) continue;
      if (body.readUInt16BE(0) !== code) throw new Failure(`CLOSE(${body.readUInt16BE(0)}), expected CLOSE(${code})`);
      if (this.circuit.waiting.length > 0) throw new Failure('bytes behind CLOSE (C-7)');
      await this.circuit.halfClosed();
      return body.subarray(2);
    }
  }

  /** Both sides end in order; everything said must have come back. */
  async closeCleanly(): Promise<void> {
    this.write(this.fin());
    await this.closeBehindEnd();
  }

  /** As closeCleanly(), END being written already. */
  async closeBehindEnd(): Promise<void> {
    while (this.peerEnd < 0 || this.peerAcked < this.sent) await this.next();
    if (!this.heard.equals(this.said)) throw new Failure('the bytes that came back are not the ones sent (S-1)');
    this.write(this.ackFrame());
    await this.closedWith(0);
    this.write(close(0));
    this.circuit.end();
  }

  #check({ type, body }: Frame): void {
    if (type === Type.DATA) {
      const offset = offsetAt(body, 0);
      const bytes = body.subarray(8);
      if (this.peerEnd >= 0) throw new Failure('DATA behind END (S-6)');
      if (offset !== this.#cursor) throw new Failure(`DATA at ${offset}, expected at ${this.#cursor} (S-2, R-11)`);
      if (offset + bytes.length > this.limit) throw new Failure(`DATA up to ${offset + bytes.length} beyond the limit ${this.limit} (S-4)`);
      this.#cursor += bytes.length;
      this.received = this.#cursor;
      this.heard = Buffer.concat([this.heard.subarray(0, offset), bytes]);
    } else if (type === Type.END) {
      const offset = offsetAt(body, 0);
      if (offset !== this.#cursor) throw new Failure(`END at ${offset}, expected at ${this.#cursor} (S-6)`);
      this.peerEnd = offset;
      this.#cursor = offset + 1;
      this.received = offset + 1;
    } else if (type === Type.ACK) {
      this.#checkAck(offsetAt(body, 0), offsetAt(body, 8));
    }
  }

  #checkAck(acked: number, limit: number): void {
    if (acked < this.#ackedHere) throw new Failure(`ACK fell from ${this.#ackedHere} to ${acked} (A-2)`);
    if (acked > this.sent) throw new Failure(`ACK ${acked} of ${this.sent} sent (A-2)`);
    if (limit < this.peerLimit) throw new Failure(`limit fell from ${this.peerLimit} to ${limit} (A-3)`);
    if (limit !== acked + this.peerWindow) throw new Failure(`limit ${limit} is not ${acked} + ${this.peerWindow} (A-3)`);
    this.#ackedHere = acked;
    this.peerAcked = Math.max(this.peerAcked, acked);
    this.peerLimit = limit;
  }

  // -- resuming

  positions(given: Partial<Positions> = {}): Positions {
    const { received, acked, limit, sent } = this;
    return { received, acked, limit, base: 0, sent, ...given };
  }

  resumeBytes(fields: ResumeFields, circuit: Circuit): Buffer {
    const { generation = this.generation + 1, instance = this.instance, positions, extra = [], edit, header, seal, alter } = fields;
    const numbers = Array.isArray(positions) ? positions : this.positions(positions as Partial<Positions>);
    const tlvs: Tlv[] = [
      [Tag.NONCE, randomBytes(16)],
      [Tag.MAX_VERSION, uint(1, 1)],
      [Tag.GENERATION, u64(generation)],
      [Tag.INSTANCE, u64(instance)],
      [Tag.POSITIONS, positionBytes(numbers)],
      ...extra,
    ];
    tlvs.sort(byTag).push([Tag.MAC, Buffer.alloc(MAC_BYTES)]);
    const bytes = flight(Kind.RESUME, edit === undefined ? tlvs : edit(tlvs), { sessionId: this.id, ...header });
    const input = bytes.subarray(0, bytes.length - MAC_BYTES);
    const ends = input.subarray(-3).equals(Buffer.of(Tag.MAC, 0, MAC_BYTES));
    if (ends)
      bytes.set(seal === undefined ? mac(this.keys.client, 'resume', [input], this.binding(circuit)) : seal(input, circuit), input.length);
    alter?.(bytes);
    return bytes;
  }

  /** Writes RESUME, answers a CHALLENGE, and reads the verdict. */
  async resume(fields: ResumeFields = {}, given?: Circuit): Promise<Answer> {
    const circuit = given ?? (await this.bench.dial());
    const resume = this.resumeBytes(fields, circuit);
    circuit.write(resume, fields.behind ?? EMPTY);
    return this.verdict(resume, fields, circuit);
  }

  /** Reads what came back for this RESUME, behind a CHALLENGE where there is one. `rest`: early data that must stand in front of PROOF. */
  async verdict(resume: Buffer, fields: ResumeFields, circuit: Circuit, rest: Buffer = EMPTY): Promise<Answer> {
    let reply = await circuit.flight();
    let challenge: Buffer | undefined;
    if (reply.kind === Kind.CHALLENGE) {
      if (!reply.sessionId.equals(resume.subarray(8, 24))) throw new Failure('CHALLENGE with another session id (H-6)');
      challenge = reply.bytes;
      circuit.write(rest, this.proofFrame(resume, challenge, circuit));
      reply = await circuit.flight();
    }
    if (reply.kind !== Kind.RESUMED && reply.kind !== Kind.REJECTED)
      throw new Failure(`a flight of kind ${reply.kind} in answer to RESUME (H-4)`);
    if (!reply.sessionId.equals(resume.subarray(8, 24))) throw new Failure(`kind ${reply.kind} has not the session id of the RESUME (H-6)`);
    const numbers = Array.isArray(fields.positions) ? undefined : this.positions(fields.positions as Partial<Positions>);
    const generation = Number(fields.generation ?? this.generation + 1);
    const { received = 0, acked = 0 } = numbers ?? {};
    return { reply, circuit, resume, challenge, generation, received, acked };
  }

  proofFrame(resume: Buffer, challenge: Buffer, circuit: Circuit): Buffer {
    return frame(Type.PROOF, mac(this.keys.client, 'proof', [resume, challenge], this.binding(circuit)));
  }

  /** The answer must be a good RESUMED; its circuit carries the session from now on. */
  attach(answer: Answer, instance: number = this.instance): Positions {
    const { reply, circuit, generation } = answer;
    if (reply.kind !== Kind.RESUMED) {
      throw new Failure(`REJECTED(${numberOf(reply, Tag.CODE)} ${reply.fields.get(Tag.REASON) ?? ''}), where RESUMED was expected`);
    }
    this.verify('resumed', earlierOf(answer), reply, circuit);
    if (numberOf(reply, Tag.GENERATION) !== generation)
      throw new Failure(`RESUMED with generation ${numberOf(reply, Tag.GENERATION)} (R-8)`);
    const theirs = positionsOf(reply);
    if (theirs.received > this.sent) throw new Failure(`RESUMED has received ${theirs.received} of ${this.sent} sent (R-7)`);
    if (theirs.base > answer.received || answer.received > theirs.sent) {
      throw new Failure(`RESUMED with base ${theirs.base} and sent ${theirs.sent}, ${answer.received} were received (R-7)`);
    }
    if (theirs.limit < this.peerLimit) throw new Failure(`RESUMED with limit ${theirs.limit}, ${this.peerLimit} was told before (A-3)`);
    if (theirs.acked < this.peerAcked) throw new Failure(`RESUMED with acked ${theirs.acked}, ${this.peerAcked} was told before (A-1)`);
    this.circuit = circuit;
    this.generation = generation;
    this.instance = instance;
    this.peerAcked = theirs.acked;
    this.peerLimit = theirs.limit;
    this.#ackedHere = theirs.acked;
    this.#cursor = answer.received;
    if (this.peerEnd >= answer.received) this.peerEnd = -1;
    this.received = answer.received;
    return theirs;
  }

  /** Resumes on a new circuit, and goes on with what was put and has not arrived. @returns their positions */
  async reattach(fields: ResumeFields = {}): Promise<Positions> {
    const instance = Number(fields.instance ?? this.instance);
    const theirs = this.attach(await this.resume(fields), instance);
    const from = Math.min(theirs.received, this.said.length);
    if (from < this.said.length && fields.behind === undefined) this.write(data(from, this.said.subarray(from)));
    return theirs;
  }

  /** RESUME gets exactly this code: with a good mac unless it is UNKNOWN, not longer than RESUME, and behind it the half-close. */
  async refused(code: number | readonly number[], fields: ResumeFields = {}): Promise<Reply> {
    return this.refusal(await this.resume(fields), code);
  }

  async refusal(answer: Answer, code: number | readonly number[]): Promise<Reply> {
    const { reply, circuit, resume } = answer;
    expectRejected(reply, code);
    const unknown = numberOf(reply, Tag.CODE) === Reject.UNKNOWN;
    if (!unknown) this.verify('rejected', earlierOf(answer), reply, circuit);
    else if (reply.fields.has(Tag.MAC)) throw new Failure('UNKNOWN has a MAC (X-2, R-15)');
    if (reply.bytes.length > resume.length) throw new Failure(`REJECTED has ${reply.bytes.length} bytes, RESUME ${resume.length} (X-1)`);
    await circuit.halfClosed();
    return reply;
  }

  /** This RESUME is not answered, its circuit ends, and the session goes on where it is. */
  async resumeIgnored(fields: ResumeFields): Promise<void> {
    const circuit = await this.bench.dial();
    circuit.write(this.resumeBytes(fields, circuit), fields.behind ?? EMPTY);
    await circuit.endedInSilence();
    await this.alive();
  }
}

export function expectRejected(reply: Reply, code: number | readonly number[]): void {
  const codes = typeof code === 'number' ? [code] : code;
  if (reply.kind !== Kind.REJECTED) throw new Failure(`a flight of kind ${reply.kind}, expected REJECTED(${codes.join(' or ')})`);
  const found = numberOf(reply, Tag.CODE);
  if (!codes.includes(found)) throw new Failure(`REJECTED(${found} ${reply.fields.get(Tag.REASON) ?? ''}), expected ${codes.join(' or ')}`);
}

export function earlierOf(answer: Answer): Buffer[] {
  return answer.challenge === undefined ? [answer.resume] : [answer.resume, answer.challenge];
}

function byTag(a: Tlv, b: Tlv): number {
  return a[0] - b[0];
}

function offeredMethods(open: Buffer): number {
  for (let at = 26; at + 3 < open.length; at += 3 + open.readUInt16BE(at + 1)) {
    if (open[at] === Tag.KEY_METHODS) return open[at + 3] as number;
  }
  return 0;
}
