// Planted bugs: each is an edit of one file of lib, or of two, that a maintainer might make by mistake. The simulator must find every one.
// lib itself knows nothing of them: main.ts builds each into a copy. A text that is not found exactly once fails the job.

export interface Edit {
  readonly file: string;
  /** Stands in the file exactly once. */
  readonly find: string;
  readonly replace: string;
}

export interface Canary {
  readonly name: string;
  /** The mistake, and what it would do to a user. */
  readonly why: string;
  readonly edits: readonly Edit[];
}

/** Text of more than one line. */
function code(...lines: readonly string[]): string {
  return lines.join('\n');
}

export const canaries: readonly Canary[] = [
  // ---------------------------------------------------------------- which circuit counts
  {
    name: 'receive not fenced',
    why: 'a circuit that a newer one replaced is still read: its frames get among those of the new one',
    edits: [{ file: 'lib/driver.ts', find: '    before.release();', replace: '' }],
  },
  {
    name: 'write not fenced',
    why: 'from RESUME on the older circuit is still written to: its bytes are sent behind the positions that RESUME told',
    edits: [{ file: 'lib/flusher.ts', find: 'if (circuit === null || this.frozen) return;', replace: 'if (circuit === null) return;' }],
  },
  {
    name: 'generation by equality',
    why: 'the accepting side wants generation + 1: after one lost RESUME the session never comes back',
    edits: [
      {
        file: 'lib/core/resume.ts',
        find: 'asked.generation > stored.generation;',
        replace: 'asked.generation === stored.generation + 1;',
      },
    ],
  },
  {
    name: 'no instance rule',
    why: 'a newer generation suffices: two processes with one identity are spliced into one stream',
    edits: [
      {
        file: 'lib/core/resume.ts',
        find: 'if (newer && (sameProcess || asked.instance > stored.generation)) return 0;',
        replace: 'if (newer) return 0;',
      },
    ],
  },
  {
    name: 'positions after generation',
    why: 'a process that is refused for its positions has already taken the generation: it shuts the living one out',
    edits: [
      {
        file: 'lib/greeting.ts',
        find: '    const lost = core.judge(flight.positions);',
        replace: code(
          '    core.generation = flight.generation;',
          '    core.instance = flight.instance;',
          '    const lost = core.judge(flight.positions);',
        ),
      },
    ],
  },
  {
    name: 'old circuit goes before the MAC',
    why: 'whoever names a session id cuts the living circuit of its owner',
    edits: [
      {
        file: 'lib/greeting.ts',
        find: '    const known = this.#greeter.find(',
        replace: code(
          "    this.#greeter.registry.live.get(flight.sessionId.toString('hex'))?.driver.circuit?.destroy();",
          '    const known = this.#greeter.find(',
        ),
      },
    ],
  },
  {
    name: 'early data before the verdict',
    why: 'what stands behind a RESUME is read before it is judged: bytes of a refused process are delivered',
    edits: [
      {
        file: 'lib/greeting.ts',
        find: '    // From here to the verdict the session must not expire',
        replace: code(
          '    const { bytes: rest } = this.#behind;',
          "    const early = good && rest.length > 0 ? this.#greeter.registry.live.get(flight.sessionId.toString('hex')) : undefined;",
          '    early?.driver.circuitData(this.#circuit, rest, 0);',
          '    // From here to the verdict the session must not expire',
        ),
      },
    ],
  },
  {
    name: 'timer of an old circuit',
    why: 'the hold time of a circuit that was lost goes on behind the resume, and ends a session that is attached',
    edits: [
      {
        file: 'lib/core/liveness.ts',
        find: code('    this.#pauses = 0;', '    this.clearAll();', '    this.set(Deadline.HEARTBEAT'),
        replace: code('    this.#pauses = 0;', '    this.set(Deadline.HEARTBEAT'),
      },
    ],
  },
  {
    name: 'expiry during a verdict',
    why: 'a session expires while the RESUME that would save it is being judged',
    edits: [{ file: 'lib/greeter.ts', find: '    driver.core.pauseHold(paused, this.#now());', replace: '' }],
  },
  // ---------------------------------------------------------------- offsets and acks
  {
    name: 'ack before consume',
    why: 'acked follows what arrived, not what the application consumed: flushed() lies, and a crash loses what was acked',
    edits: [
      {
        file: 'lib/core/inbound.ts',
        find: 'const acked = cursor < released ? cursor : released;',
        replace: 'const acked = Math.max(cursor, Math.min(this.received, released));',
      },
    ],
  },
  {
    name: 'resume off by one',
    why: 'the replay begins one byte too late',
    edits: [
      {
        file: 'lib/core/session-core.ts',
        find: 'outbound.rewind(Math.max(theirs.received, from));',
        replace: 'outbound.rewind(Math.max(theirs.received + 1, from));',
      },
    ],
  },
  {
    name: 'trim off by one',
    why: 'of what comes twice one byte is taken twice',
    edits: [
      {
        file: 'lib/core/inbound.ts',
        find: 'const from = (start + skip) | 0;',
        replace: 'const from = start + Math.max(0, skip - 1);',
      },
    ],
  },
  {
    name: 'goes on at sent',
    why: 'a new circuit goes on where the last one stopped, not at what the peer has received',
    edits: [
      {
        file: 'lib/core/session-core.ts',
        find: 'outbound.rewind(Math.max(theirs.received, from));',
        replace: 'outbound.rewind(Math.max(outbound.sent, from));',
      },
    ],
  },
  {
    name: 'ack of the unsent',
    why: 'an ACK above all that was sent is believed: what the peer never got is freed',
    edits: [
      {
        file: 'lib/core/outbound.ts',
        find: 'acked > this.sent || ',
        replace: '',
      },
    ],
  },
  {
    name: 'end in place of sent',
    why: 'positions hold what the application wrote, not what was put on a circuit: two lives of one process are spliced',
    edits: [
      {
        file: 'lib/core/session-core.ts',
        find: 'positions(sent: number = this.outbound.sent): Positions',
        replace: 'positions(sent: number = this.outbound.end): Positions',
      },
    ],
  },
  {
    name: 'limit shrinks on resume',
    why: 'a resume takes back room that was promised: the peer has sent into it',
    edits: [
      {
        file: 'lib/core/session-core.ts',
        find: 'return { received, acked, limit, base: this.outbound.base, sent };',
        replace: 'return { received, acked, limit: limit - 1, base: this.outbound.base, sent };',
      },
    ],
  },
  {
    name: 'message residue dropped',
    why: 'half a message that came on the old circuit is forgotten, and the other half is taken for a message',
    edits: [
      {
        file: 'lib/core/session-core.ts',
        find: code('    this.#met?.circuitUp();', '    this.#reader = null;'),
        replace: code(
          '    this.#met?.circuitUp();',
          '    this.#reader = null;',
          '    this.inbound.inbox.decoder = this.framing.decoder(this.limits);',
        ),
      },
    ],
  },
  {
    name: 'frame residue kept',
    why: 'half a frame of the old circuit stands in front of the first one of the new',
    edits: [
      {
        file: 'lib/core/session-core.ts',
        find: code('    this.#met?.circuitUp();', '    this.#reader = null;'),
        replace: '    this.#met?.circuitUp();',
      },
      {
        file: 'lib/core/session-core.ts',
        find: code("    this.#enter('circuitLost');", '    this.#frames().stop();'),
        replace: "    this.#enter('circuitLost');",
      },
    ],
  },
  {
    name: 'socket paused on a full inbox',
    why: 'a slow reader stops the socket, and with it the ACKs and heartbeats behind the data',
    edits: [
      {
        file: 'lib/driver.ts',
        find: 'if (this.#flusher.circuit !== null && this.settings.bare) this.#flusher.circuit.held = core.wantsPause;',
        replace:
          'if (this.#flusher.circuit !== null && !this.#flusher.frozen) this.#flusher.circuit.held = core.inbound.received - core.inbound.cursor >= core.inbound.window / 2;',
      },
    ],
  },
  // ---------------------------------------------------------------- opening
  {
    name: 'provisional made real by RESUME',
    why: 'the application runs for a RESUME that nobody has judged',
    edits: [
      {
        file: 'lib/greeting.ts',
        find: '    // From here to the verdict the session must not expire',
        replace: code(
          "    const early = good ? this.#greeter.registry.findProvisional(flight.sessionId.toString('hex'), this.#now()) : undefined;",
          '    if (early !== undefined) this.#greeter.announce(this.#greeter.make(early));',
          '    // From here to the verdict the session must not expire',
        ),
      },
      {
        file: 'lib/greeter.ts',
        find: '  /** The circuit carries the session from now on.',
        replace: code(
          '  announce(entry) {',
          '    this.registry.provisional.delete(entry.session.id);',
          '    this.registry.add(entry);',
          '    this.#events.opened(entry.session);',
          '  }',
          '',
          '  /** The circuit carries the session from now on.',
        ),
      },
    ],
  },
  {
    name: 'late CONFIRM counts',
    why: 'a CONFIRM that a stalled circuit delivers late announces the session again: the application runs twice',
    edits: [
      {
        file: 'lib/greeting.ts',
        find: 'if (this.#greeter.registry.provisional.get(provisional.id) !== provisional) {',
        replace: 'if (false) {',
      },
    ],
  },
  // ---------------------------------------------------------------- refusals
  {
    name: 'unsigned CLOSED believed',
    why: 'anybody on the way ends a session by a refusal that no key has signed',
    edits: [
      {
        file: 'lib/dialer.ts',
        find: 'if (!good) return this.#again(error, 0);',
        replace: 'if (!good && code !== RejectCode.CLOSED) return this.#again(error, 0);',
      },
    ],
  },
  {
    name: 'one UNKNOWN believed',
    why: 'one wrong machine behind a balancer ends the session',
    edits: [{ file: 'lib/dialer.ts', find: 'const UNKNOWN_ANSWERS = 3;', replace: 'const UNKNOWN_ANSWERS = 1;' }],
  },
  // ---------------------------------------------------------------- ending
  {
    name: 'END not repeated',
    why: 'END is written once: if its circuit is cut, the peer waits for ever',
    edits: [
      {
        file: 'lib/core/outbound.ts',
        find: 'return this.fin >= 0 && this.cursor === this.fin && this.released > this.fin;',
        replace: 'return this.fin >= 0 && this.cursor === this.fin && this.released > this.fin && this.sent <= this.fin;',
      },
      {
        file: 'lib/core/outbound.ts',
        find: 'this.released > end && (newBytes || this.sent > this.fin);',
        replace: 'this.released > end && newBytes && this.sent <= this.fin;',
      },
    ],
  },
  {
    name: 'END held back by the limit',
    why: 'with a full window END waits for the reader, who may wait for END',
    edits: [
      {
        file: 'lib/core/outbound.ts',
        find: 'return this.fin >= 0 && this.cursor === this.fin && this.released > this.fin;',
        replace: 'return this.fin >= 0 && this.cursor === this.fin && this.released > this.fin && this.fin < this.peerLimit;',
      },
    ],
  },
  {
    name: 'finals not applied',
    why: 'the last ACK in a signed CLOSED is not looked at: a dialing side that is done ends with an error',
    edits: [{ file: 'lib/core/session-core.ts', find: '    if (finals !== undefined) this.applyFinals(finals, true);', replace: '' }],
  },
  {
    name: 'accepting side waits for CLOSE',
    why: 'a server that is done waits for a CLOSE that may be lost: it expires a perfect session',
    edits: [
      {
        file: 'lib/core/session-core.ts',
        find: code("    if (this.role === 'accept') this.#end(this.cause);", "    else this.#enter('done');"),
        replace: "    this.#enter('done');",
      },
    ],
  },
  {
    name: 'tombstone without numbers',
    why: 'the final positions are taken behind the end, when memory was given back',
    edits: [
      {
        file: 'lib/driver.ts',
        find: code(
          '    this.#host.ended(this, cause);',
          '    // Behind the host, whose tombstone takes the final positions.',
          '    core.inbound.clear();',
          '    core.outbound.clear();',
        ),
        replace: code('    core.inbound.clear();', '    core.outbound.clear();', '    this.#host.ended(this, cause);'),
      },
    ],
  },
];
