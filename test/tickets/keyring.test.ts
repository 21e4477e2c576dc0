// Tickets: what was sealed comes out under the same secret, audience and purpose only, for as long as it is good, and not otherwise.

import { createHash, randomBytes } from 'node:crypto';
import { inspect } from 'node:util';
import { deflateRawSync } from 'node:zlib';
import { expect } from 'chai';
import fc from 'fast-check';
import { SessionError } from '../../lib/errors.ts';
import { type KeyringOptions, keyring, type OpenedTicket } from '../../lib/tickets/keyring.ts';
import {
  KEY_ID_BYTES,
  keyIdOf,
  openTicket,
  sealTicket,
  TICKET_HEADER_BYTES,
  TICKET_OVERHEAD_BYTES,
  ticketContext,
} from '../../lib/tickets/seal.ts';

const HOUR = 3_600_000;
const T0 = 1_800_000_000_000;
const A = secret('a');
const B = secret('b');
const C = secret('c');
const record = Buffer.from('keys, cursors and marks of a session');
const data = Buffer.from('{"sum":42}');

/** The same random-looking bytes in each run. */
function secret(name: string): Buffer {
  return createHash('sha256').update(name).digest();
}

/** A ring and the clock it looks at. */
function ring(secrets: readonly Uint8Array[], options: Partial<KeyringOptions> = {}) {
  const clock = { ms: T0 };
  return { clock, ring: keyring(secrets, { audience: 'game', now: () => clock.ms, ...options }) };
}

function refused(call: () => unknown, words: RegExp): void {
  try {
    call();
  } catch (error) {
    expect(SessionError.is(error, 'ERR_INVALID_OPTION'), String(error)).to.equal(true);
    expect((error as Error).message).to.match(words);
    return;
  }
  expect.fail(`nothing was thrown: ${words}`);
}

function opened(result: unknown): OpenedTicket {
  expect(typeof result, String(result)).to.equal('object');
  return result as OpenedTicket;
}

describe('tickets: seal and open', () => {
  it('gives back what was sealed, on any node with the same secrets', () => {
    const ticket = ring([A]).ring.seal('session', record, data);
    const result = opened(ring([A]).ring.open('session', ticket));
    expect([result.record.toString(), result.data.toString(), result.sealedAtMs]).to.deep.equal([record.toString(), data.toString(), T0]);
  });

  it('gives back all states of all sizes, deflated or not', () => {
    const bytes = fc.uint8Array({ maxLength: 600 });
    const property = fc.property(bytes, bytes, fc.boolean(), fc.integer({ min: 1, max: 300 }), (rec, dat, deflate, paddingBytes) => {
      const { ring: keys } = ring([A], { deflate, paddingBytes });
      const ticket = keys.seal('session', rec, dat);
      const result = opened(keys.open('session', ticket));
      return ticket.length % paddingBytes === 0 && result.record.equals(rec) && result.data.equals(dat);
    });
    fc.assert(property, { numRuns: 300 });
  });

  it('makes another ticket each time', () => {
    const { ring: keys } = ring([A]);
    const tickets = new Set(Array.from({ length: 100 }, () => keys.seal('session', record, data).toString('hex')));
    expect(tickets.size).to.equal(100);
  });

  it('shows neither state nor secret in a ticket or a log', () => {
    const { ring: keys } = ring([A]);
    const ticket = keys.seal('session', record, data);
    for (const hidden of [record, data, A, A.subarray(0, 8)]) expect(ticket.includes(hidden)).to.equal(false);
    const shown = inspect(keys, { depth: 9, showHidden: true, getters: true });
    expect(shown)
      .to.contain(keyIdOf(A).toString('hex'))
      .and.not.match(/Buffer|Map/);
  });

  it('has pinned bytes', () => {
    const salt = secret('salt');
    const state = { sealedAtMs: T0, expiresAtMs: T0 + HOUR, record, data };
    const ticket = sealTicket(A, keyIdOf(A), salt, ticketContext('game', 'session'), state, { deflate: false, paddingBytes: 64 });
    expect(ticket.length).to.equal(128);
    expect(ticket.subarray(0, TICKET_HEADER_BYTES).toString('hex')).to.equal(`01${keyIdOf(A).toString('hex')}${salt.toString('hex')}`);
    expect(createHash('sha256').update(ticket).digest('hex')).to.equal('072335b0367aad1812235377ec67cc9f0e658dde22d38bdfc91e90da489729f6');
  });
});

describe('tickets: refusals', () => {
  const { ring: keys } = ring([A]);
  const ticket = keys.seal('session', record, data);

  it('a ticket with any byte changed, at any place', () => {
    for (let at = 0; at < ticket.length; at++) {
      for (const bits of [0x01, 0x80, 0xff]) {
        const bad = Buffer.from(ticket);
        bad[at] = (bad[at] as number) ^ bits;
        const reason = at === 0 ? 'malformed' : at <= KEY_ID_BYTES ? 'unknown key' : 'forged';
        expect(keys.open('session', bad), `byte ${at}`).to.equal(reason);
      }
    }
  });

  it('a ticket cut at any place, or with bytes behind it', () => {
    for (let length = 0; length < ticket.length; length++) {
      expect(keys.open('session', ticket.subarray(0, length)), `${length}`).to.equal(
        length < TICKET_OVERHEAD_BYTES ? 'malformed' : 'forged',
      );
    }
    expect(keys.open('session', Buffer.concat([ticket, Buffer.alloc(1)]))).to.equal('forged');
  });

  it('random bytes', () => {
    for (let length = 0; length < 400; length++) expect(typeof keys.open('session', randomBytes(length))).to.equal('string');
  });

  it('two tickets put together', () => {
    const other = keys.seal('session', record, data);
    for (const at of [1, 9, TICKET_HEADER_BYTES, ticket.length - 16]) {
      const spliced = Buffer.concat([ticket.subarray(0, at), other.subarray(at)]);
      // Up to the salt both are the same bytes.
      const whole = at <= 9;
      expect(typeof keys.open('session', spliced)).to.equal(whole ? 'object' : 'string');
    }
  });

  it('another audience, purpose, or a name that runs into the next', () => {
    expect(ring([A], { audience: 'shop' }).ring.open('session', ticket)).to.equal('forged');
    expect(keys.open('admin', ticket)).to.equal('forged');
    const long = ring([A], { audience: 'games' }).ring.seal('ession', record, data);
    expect(ring([A], { audience: 'game' }).ring.open('session', long)).to.equal('forged');
  });

  it('one larger than ticketBytes, when it is sealed and when it is opened', () => {
    const large = ring([A]).ring.seal('session', record, randomBytes(5000));
    const { ring: small } = ring([A], { ticketBytes: 4096 });
    expect(small.open('session', large)).to.equal('too large');
    for (const bytes of [5000, 1024 * 1024 + 1]) {
      expect(() => small.seal('session', record, Buffer.alloc(bytes)))
        .to.throw(SessionError)
        .with.property('code', 'ERR_MESSAGE_TOO_LARGE');
    }
  });

  it('one that would inflate beyond the cap, without inflating it', () => {
    // Our own seal() refuses to make it; whoever holds the secret could.
    const context = ticketContext('game', 'session');
    const bomb = Buffer.alloc(64 * 1024 * 1024);
    const state = { sealedAtMs: T0, expiresAtMs: T0 + HOUR, record, data: bomb };
    const packed = sealTicket(A, keyIdOf(A), randomBytes(32), context, state, { deflate: true, paddingBytes: 64 });
    expect(packed.length).to.equal(Math.ceil((deflateRawSync(bomb).length + TICKET_OVERHEAD_BYTES + record.length) / 64) * 64);
    expect(keys.open('session', packed)).to.equal('forged');
    expect(openTicket(A, context, packed, bomb.length)?.data.length).to.equal(bomb.length);
  });
});

describe('tickets: time', () => {
  it('expire behind their lifetime and the tolerated skew', () => {
    const { ring: keys, clock } = ring([A], { lifetimeMs: HOUR });
    const ticket = keys.seal('session', record, data);
    clock.ms = T0 + HOUR + 59_999;
    opened(keys.open('session', ticket));
    clock.ms = T0 + HOUR + 60_000;
    expect(keys.open('session', ticket)).to.equal('expired');
  });

  it('from a clock more than a minute ahead are refused', () => {
    const { ring: keys, clock } = ring([A]);
    const ticket = keys.seal('session', record, data);
    clock.ms = T0 - 60_000;
    opened(keys.open('session', ticket));
    clock.ms = T0 - 60_001;
    expect(keys.open('session', ticket)).to.equal('from the future');
  });

  it('sealed before revokeBefore() are refused, and it never goes back', () => {
    const { ring: keys, clock } = ring([A]);
    const before = keys.seal('session', record, data);
    clock.ms = T0 + 10;
    const after = keys.seal('session', record, data);
    keys.revokeBefore(T0 + 10);
    keys.revokeBefore(T0);
    expect(keys.open('session', before)).to.equal('revoked');
    opened(keys.open('session', after));
    refused(() => keys.revokeBefore(Number.NaN), /wallMs/);
  });
});

describe('tickets: rotation', () => {
  it('in three steps over two nodes refuses nobody', () => {
    const nodes = [ring([A]).ring, ring([A]).ring];
    const tickets: Buffer[] = [];
    const everybodyOpens = (): void => {
      for (const node of nodes) tickets.push(node.seal('session', record, data));
      for (const ticket of tickets) for (const node of nodes) opened(node.open('session', ticket));
    };
    everybodyOpens();
    // Each step reaches one node after the other.
    for (const step of [
      [A, B],
      [B, A],
    ]) {
      for (const node of nodes) {
        node.replace(step);
        everybodyOpens();
      }
    }
    for (const node of nodes) node.replace([B]);
    expect(tickets.filter((ticket) => typeof nodes[0]?.open('session', ticket) === 'string').length).to.be.greaterThan(0);
    expect(nodes[0]?.open('session', tickets[0] as Buffer)).to.equal('unknown key');
    expect(nodes[0]?.keyIds).to.deep.equal([keyIdOf(B).toString('hex')]);
  });

  it('leaves the ring as it was when a new secret is bad', () => {
    const { ring: keys } = ring([A, B]);
    const { keyIds } = keys;
    refused(() => keys.replace([C, Buffer.alloc(32)]), /not random/);
    expect(keys.keyIds).to.deep.equal(keyIds);
    opened(keys.open('session', keys.seal('session', record, data)));
  });

  it('restarts with another secret refuse the old tickets (the test that found GnuTLS CVE-2020-13777)', () => {
    const ticket = ring([randomBytes(32)]).ring.seal('session', record, data);
    expect(ring([randomBytes(32)]).ring.open('session', ticket)).to.equal('unknown key');
  });
});

describe('tickets: what a keyring refuses to be made of', () => {
  const counting = Buffer.from(Array.from({ length: 32 }, (_, i) => i));
  const bad: [string, readonly unknown[], RegExp][] = [
    ['no secret', [], /at least one/],
    ['nothing', undefined as never, /at least one/],
    ['31 bytes', [secret('x').subarray(0, 31)], /31 bytes/],
    ['zeros', [Buffer.alloc(32)], /not random/],
    ['one byte repeated', [Buffer.alloc(64, 0xa5)], /not random/],
    ['a count', [counting], /not random/],
    ['a short pattern', [Buffer.from('0102030405'.repeat(8), 'hex')], /not random/],
    ['a password', [Buffer.from('correct horse battery staple 1234')], /is text/],
    ['hex that nobody decoded', [Buffer.from(secret('x').toString('hex'))], /is text/],
    ['base64 that nobody decoded', [Buffer.from(secret('x').toString('base64'))], /is text/],
    ['a string', [secret('x').toString('latin1')], /Uint8Array/],
    ['the same secret twice', [A, B, A], /secret 2 stands in the list twice/],
    ['a bad second secret', [A, Buffer.alloc(32)], /secret 1/],
    ['an empty environment variable', [Buffer.from('', 'base64')], /0 bytes/],
  ];
  for (const [name, secrets, words] of bad) {
    it(name, () => refused(() => keyring(secrets as Uint8Array[], { audience: 'game' }), words));
  }

  const options: [string, unknown, RegExp][] = [
    ['no options', undefined, /audience/],
    ['no audience', {}, /audience/],
    ['an empty audience', { audience: '' }, /audience/],
    ['a long audience', { audience: 'ä'.repeat(65) }, /audience/],
    ['a lifetime above 7 days', { audience: 'a', lifetimeMs: 168 * HOUR + 1 }, /lifetimeMs/],
    ['a lifetime that is no number', { audience: 'a', lifetimeMs: Number.NaN }, /lifetimeMs/],
    ['no padding', { audience: 'a', paddingBytes: 0 }, /paddingBytes/],
    ['a tiny ticket', { audience: 'a', ticketBytes: 10 }, /ticketBytes/],
    ['deflate by a string', { audience: 'a', deflate: 'false' }, /deflate/],
  ];
  for (const [name, given, words] of options) {
    it(name, () => refused(() => keyring([A], given as KeyringOptions), words));
  }

  it('keeps a copy: a secret that is wiped later still opens', () => {
    const mine = randomBytes(32);
    const { ring: keys } = ring([mine]);
    const ticket = keys.seal('session', record, data);
    mine.fill(0);
    opened(keys.open('session', ticket));
  });
});

describe('tickets: sizes', () => {
  it('are what docs/tickets.md says', () => {
    const { ring: keys } = ring([A]);
    expect(TICKET_OVERHEAD_BYTES).to.equal(76);
    expect(keys.seal('session', Buffer.alloc(180), Buffer.alloc(0)).length).to.equal(256);
    expect(keys.seal('session', Buffer.alloc(181), Buffer.alloc(0)).length).to.equal(320);
  });
});
