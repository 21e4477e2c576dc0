// Every framing, with bytes that no encoder made. However the bytes are cut the same messages come out; only SessionErrors are thrown; the
// residue is bounded; and what was decoded can be encoded and decoded again.

import { SessionError } from '../../../lib/errors.ts';
import { cobs } from '../../../lib/framing/cobs.ts';
import { contentLength } from '../../../lib/framing/content-length.ts';
import { delimited } from '../../../lib/framing/delimited.ts';
import type { Framing } from '../../../lib/framing/framing.ts';
import { json } from '../../../lib/framing/json.ts';
import { lengthPrefix } from '../../../lib/framing/length-prefix.ts';
import { lines } from '../../../lib/framing/lines.ts';
import { netstring } from '../../../lib/framing/netstring.ts';
import { raw } from '../../../lib/framing/raw.ts';
import { slip } from '../../../lib/framing/slip.ts';
import { encodeMessage } from '../../../lib/framing/standalone.ts';
import { varint } from '../../../lib/framing/varint.ts';
import { check, type FuzzTarget } from '../target.ts';

const LIMIT = { messageBytes: 300 };
/** What a residue may hold beyond one message: the longest header block there is. */
const OVERHEAD_BYTES = 8192 + 64;

const framings: readonly Framing<never>[] = [
  lines(),
  lines({ delimiter: '\r\n', encoding: 'latin1' }),
  lines({ stripCr: true }),
  lines({ delimiter: 'aab', encoding: 'buffer' }),
  lengthPrefix(),
  lengthPrefix({ bytes: 1 }),
  lengthPrefix({ bytes: 2, endian: 'little', offset: 2, adjustment: -4, strip: 0 }),
  lengthPrefix({ bytes: 3, offset: 1, adjustment: 5, strip: 4 }),
  varint(),
  netstring(),
  contentLength(),
  contentLength({ message: 'whole' }),
  delimited(),
  delimited({ start: 'ab', end: '\r\n', checksum: 'lrc', between: 'skip' }),
  slip(),
  cobs(),
  raw(),
  json(lines()),
] as unknown as readonly Framing<never>[];

/** Framings of plain bytes: only what is in the stream counts, not how it is cut. */
const UNBOUNDED: ReadonlySet<string> = new Set(['raw']);

interface Decoded {
  readonly messages: readonly unknown[];
  readonly error: string | null;
}

export const framingsTarget: FuzzTarget = {
  name: 'framings',
  what: 'any bytes to any framing: same messages however cut, only SessionErrors, bounded residue, round trip',
  files: /\/lib\/framing\//,
  mostBytes: 2048,
  tokens: [
    'Content-Length: ',
    'content-length:',
    'l: 5',
    '\r\n\r\n',
    '\r\n ',
    '\n',
    '5:hello,',
    '{"a":[1]}',
    '__proto__',
    '\x02',
    '\x03',
    'ab',
    'aab',
  ].map((text) => Buffer.from(text, 'latin1')),
  seeds: () => framings.flatMap((framing, at) => seedsOf(framing).map((stream) => Buffer.concat([Buffer.of(at, 3), stream]))),
  wanted: framings.map(({ name }) => `message of ${name}`).concat('ERR_FRAMING', 'ERR_MESSAGE_TOO_LARGE'),
  run: (input, outcomes) => {
    const framing = framings[(input[0] ?? 0) % framings.length] as Framing<never>;
    const piece = 1 + ((input[1] ?? 0) % 40);
    const stream = input.subarray(2);
    const whole = decode(framing, stream, stream.length || 1);
    const cut = decode(framing, stream, piece);
    check(shown(framing, whole) === shown(framing, cut), `${framing.name}: cut in pieces of ${piece} it is something else`);
    if (whole.messages.length > 0) outcomes.add(`message of ${framing.name}`);
    if (whole.error !== null) outcomes.add(whole.error);
    for (const message of whole.messages) roundTrip(framing, message as never);
  },
};

function decode(framing: Framing<never>, stream: Buffer, piece: number): Decoded {
  const decoder = framing.decoder(LIMIT);
  const messages: unknown[] = [];
  const sink = {
    range: (buffer: Buffer, start: number, end: number): boolean => {
      messages.push(decoder.message(buffer, start, end));
      return true;
    },
  };
  try {
    for (let at = 0; at < stream.length; at += piece) {
      const chunk = stream.subarray(at, at + piece);
      check(decoder.decode(chunk, 0, chunk.length, sink) === chunk.length, `${framing.name}: decode() leaves bytes, and nobody said stop`);
      check(decoder.residueBytes <= LIMIT.messageBytes + OVERHEAD_BYTES, `${framing.name}: a residue of ${decoder.residueBytes} bytes`);
    }
  } catch (error) {
    if (!SessionError.is(error)) throw error;
    check(error.blame === 'peer', `${framing.name}: ${error.code} blames ${error.blame}`);
    return { messages, error: error.code };
  }
  return { messages, error: null };
}

function roundTrip(framing: Framing<never>, message: never): void {
  let bytes: Buffer;
  try {
    bytes = encodeMessage(framing, message, LIMIT);
  } catch (error) {
    // Some layouts can be read in more ways than written: refusing is allowed, writing something else is not.
    if (SessionError.is(error)) return;
    throw error;
  }
  const again = decode(framing, bytes, bytes.length || 1);
  check(
    again.error === null && shown(framing, again) === shown(framing, { messages: [message], error: null }),
    `${framing.name}: no round trip`,
  );
}

function shown(framing: Framing<never>, { messages, error }: Decoded): string {
  if (UNBOUNDED.has(framing.name)) return Buffer.concat(messages as Buffer[]).toString('latin1');
  return `${messages.map((message) => (Buffer.isBuffer(message) ? message.toString('hex') : JSON.stringify(message))).join(' ')} ${error}`;
}

function seedsOf(framing: Framing<never>): Buffer[] {
  const texts = ['hello', '{"a":1,"b":[2,"x"]}', 'x'.repeat(299)];
  const streams: Buffer[] = [];
  for (const text of texts) {
    for (const message of [text, Buffer.from(text), { text }]) {
      try {
        streams.push(encodeMessage(framing, message as never, LIMIT));
      } catch (error) {
        if (!SessionError.is(error)) throw error;
      }
    }
  }
  return [
    Buffer.concat(streams),
    Buffer.from('Content-Length: 5\r\n\r\nhello', 'latin1'),
    Buffer.from('000006006162', 'hex'),
    Buffer.from('000000006162636465', 'hex'),
    Buffer.from('OPTIONS sip:x SIP/2.0\r\nl: 2\r\n\r\nhi', 'latin1'),
  ];
}
