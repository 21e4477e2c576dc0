// The telnet codec and the host's half of the negotiation, with what any client may send. Any bytes are telnet: nothing is thrown, the same
// events come out however the bytes are cut, what is held is bounded, and the answers to a flood are too.

import { Host } from '../../../examples/telnet/host.ts';
import { type TelnetEvent, telnet } from '../../../examples/telnet/telnet.ts';
import { decoded, decodedEvents, encoded, hex, transcripts } from '../../telnet/support.ts';
import { check, type FuzzTarget } from '../target.ts';

const SUBNEGOTIATION_BYTES = 256;
/** Six verbs of our own, and 256 answers of the largest size at once. */
const SENT_BYTES = 16_384;

export const telnetTarget: FuzzTarget = {
  name: 'telnet',
  what: 'any bytes to the telnet decoder and host: same events however cut, nothing thrown, bounded answers',
  files: /\/examples\/telnet\//,
  mostBytes: 1024,
  tokens: [
    'fffb18',
    'fffd18',
    'fffa1800',
    'fff0',
    'fffb22',
    'fffa2203',
    '030203',
    'fffb27',
    'fffa2700',
    'fffb1f',
    'fffa1f',
    'fffd2a',
    'fffa2a01',
    'fffd05',
    'fffa0501fff0',
    'fff6',
    'ffff',
    '0d00',
    'fffd06',
  ].map(hex),
  seeds: () => [
    // A client that agrees to UTF-8 (RFC 2066), which none of the transcripts does.
    hex('05 fffd2a fffa2a02 5554462d38 fff0'),
    // Behind the login: LINEMODE is agreed on, and a mode told.
    hex('80 fffb22 fffa220103 fff0 fffa220303 0203 fff0'),
    // More requests than there are answers for.
    hex(`05${'fffd06'.repeat(300)}`),
    ...transcripts()
      .filter((_, at) => at % 5 === 0)
      .map(({ toServer }) => Buffer.concat([Buffer.of(5), ...toServer]).subarray(0, 400)),
  ],
  wanted: [
    'data',
    'command',
    'negotiation',
    'subnegotiation',
    'discarded',
    'option',
    'size',
    'terminal',
    'environment',
    'charset',
    'linemode',
    'flood',
  ],
  run: (input, outcomes) => {
    const piece = 1 + ((input[0] ?? 0) % 30);
    const stream = input.subarray(1);
    const events = decodedEvents([stream], SUBNEGOTIATION_BYTES);
    check(
      decoded(cut(stream, piece), SUBNEGOTIATION_BYTES) === decoded([stream], SUBNEGOTIATION_BYTES),
      `cut in pieces of ${piece} it is something else`,
    );
    const decoder = telnet({ subnegotiationBytes: SUBNEGOTIATION_BYTES }).decoder({ messageBytes: 65_536 });
    decoder.decode(stream, 0, stream.length, { range: () => true });
    check(decoder.residueBytes <= SUBNEGOTIATION_BYTES + 4, `a residue of ${decoder.residueBytes} bytes`);
    for (const { kind } of events) outcomes.add(kind);
    negotiate(events, (input[0] ?? 0) >= 128, outcomes);
  },
};

function negotiate(events: readonly TelnetEvent[], loggedIn: boolean, outcomes: Set<string>): void {
  const host = new Host({ linemode: true });
  const steps = [...host.begin(), ...(loggedIn ? host.loggedIn() : [])];
  for (const event of events) steps.push(...host.receive(event, 0));
  const sent = encoded(...steps.flatMap((step) => (step.kind === 'send' ? [step.event] : [])));
  check(sent.length <= SENT_BYTES, `${sent.length} bytes of answers`);
  check(host.size.columns > 0 && host.size.rows > 0, 'a window without a place');
  for (const step of steps) {
    outcomes.add(step.kind);
    if (step.kind === 'terminal') check(/^[A-Za-z0-9._+-]{1,40}$/.test(step.terminal.name), `a terminal named ${step.terminal.name}`);
    if (step.kind === 'environment') check(!(step.environment.user ?? '').startsWith('-'), 'a user that is an option');
  }
}

function cut(stream: Buffer, piece: number): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0; at < stream.length; at += piece) pieces.push(stream.subarray(at, at + piece));
  return pieces;
}
