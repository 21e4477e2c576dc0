// What the telnet tests share: events in a form that can be compared, streams fed in any pieces, the recorded transcripts.

import { readdirSync, readFileSync } from 'node:fs';
import type { Verb } from '../../examples/telnet/protocol.ts';
import { type NegotiationEvent, negotiation, type TelnetEvent, telnet } from '../../examples/telnet/telnet.ts';
import { encodeMessage } from '../../lib/framing/standalone.ts';
import type { Random } from '../../lib/testing/random.ts';

/** Bytes written as hexadecimal, with spaces where they help. */
export function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll(' ', ''), 'hex');
}

export function shown(event: TelnetEvent): string {
  switch (event.kind) {
    case 'data':
      return event.bytes.toString('hex');
    case 'command':
      return `<${event.command.toString(16)}>`;
    case 'negotiation':
      return `<${event.verb} ${event.option}>`;
    case 'subnegotiation':
      return `<sb ${event.option} ${event.bytes.toString('hex')}>`;
    case 'discarded':
      return `<${event.reason} ${event.option}>`;
  }
}

/** Events of chunks, joined: where data was cut does not show. */
export function decoded(chunks: readonly Buffer[], subnegotiationBytes = 2048): string {
  return decodedEvents(chunks, subnegotiationBytes).map(shown).join('');
}

export function decodedEvents(chunks: readonly Buffer[], subnegotiationBytes = 2048): TelnetEvent[] {
  const decoder = telnet({ subnegotiationBytes }).decoder({ messageBytes: 65_536 });
  const events: TelnetEvent[] = [];
  const sink = { range: (buffer: Buffer, start: number, end: number) => events.push(decoder.message(buffer, start, end)) > 0 };
  for (const chunk of chunks) decoder.decode(chunk, 0, chunk.length, sink);
  return events;
}

export function encoded(...events: readonly TelnetEvent[]): Buffer {
  return Buffer.concat(events.map((event) => encodeMessage(telnet(), event)));
}

/** 'will 1', 'dont 34', … as an event. */
export function verb(text: string): NegotiationEvent {
  const [word, option] = text.split(' ');
  return negotiation(word as Verb, Number(option));
}

export function bytewise(stream: Buffer): Buffer[] {
  return Array.from(stream, (byte) => Buffer.of(byte));
}

export function randomly(stream: Buffer, random: Random): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0; at < stream.length; ) {
    const to = at + random.integer(1, random.chance(0.5) ? 3 : 60);
    pieces.push(stream.subarray(at, to));
    at = to;
  }
  return pieces;
}

/** One recorded connection. */
export interface Transcript {
  readonly name: string;
  readonly toServer: readonly Buffer[];
  readonly toClient: readonly Buffer[];
}

export function transcripts(): Transcript[] {
  const folder = new URL('../fixtures/telnet-transcripts/', import.meta.url);
  const names = readdirSync(folder).filter((name) => name.endsWith('.jsonl'));
  return names.sort().map((file) => {
    const lines = readFileSync(new URL(file, folder), 'utf8').trim().split('\n');
    const records = lines.map((line) => JSON.parse(line) as { readonly dir: string; readonly hex: string });
    const pieces = (dir: string): Buffer[] => records.filter((one) => one.dir === dir).map((one) => Buffer.from(one.hex, 'hex'));
    return { name: file.replace('.jsonl', ''), toServer: pieces('c2s'), toClient: pieces('s2c') };
  });
}
