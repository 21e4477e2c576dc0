// The choice of keys: every offer against every connection and configuration.
import { expect } from 'chai';
import type { OpenFlight } from '../../lib/core/handshake.ts';
import { KeyMethod, Kind } from '../../lib/core/wire.ts';
import { chooseKeys } from '../../lib/key-choice.ts';
import { generateKeyPair, MinuteKey, sharedSecret } from '../../lib/security/keys.ts';

const { EXPORTER, X25519, PSK } = KeyMethod;
const dialing = generateKeyPair();
const accepting = new MinuteKey();
const secrets = { exporter: Buffer.alloc(32, 1), binding: Buffer.alloc(32, 2) };
const psk = Buffer.alloc(16, 3);

function open(keyMethods: number): OpenFlight {
  return {
    kind: Kind.OPEN,
    node: 0,
    nonce: Buffer.alloc(16),
    keyMethods,
    publicKey: (keyMethods & X25519) !== 0 ? dialing.publicKey : undefined,
    framing: 'x',
    window: 1,
    heartbeatMs: 1,
    holdMs: 1,
    credentials: undefined,
    metadata: undefined,
    maxVersion: 1,
    ticketBytes: 0,
  };
}

describe('key choice', () => {
  for (let offered = 0; offered < 8; offered++) {
    for (const tls of [false, true]) {
      for (const configured of [false, true]) {
        const pskFits = ((offered & PSK) !== 0) === configured;
        const method = (offered & X25519) | (tls ? offered & EXPORTER : 0);
        const expected = pskFits && method > 0 ? method | (configured ? PSK : 0) : 'a refusal';
        it(`offer ${offered}${tls ? ' over TLS 1.3' : ''}${configured ? ' with a psk' : ''}: ${expected}`, () => {
          let made = 0;
          const choice = chooseKeys(open(offered), tls ? secrets : undefined, configured ? psk : undefined, () => {
            made++;
            return accepting;
          });
          if (typeof choice === 'string') {
            expect(expected).to.equal('a refusal');
            expect(choice).to.match(pskFits ? /terminator/ : /psk/);
            return;
          }
          expect(choice.keyMethods).to.equal(expected);
          expect(choice.psk).to.equal(configured ? psk : undefined);
          const exported = (method & EXPORTER) === 0 ? { exporter: undefined, binding: undefined } : secrets;
          expect(choice).to.include({ exporter: exported.exporter, binding: exported.binding });
          if ((method & X25519) === 0) {
            expect(choice).to.include({ publicKey: undefined, shared: undefined });
            expect(made, 'no key is made for nothing').to.equal(0);
          } else {
            expect(choice.publicKey).to.equal(accepting.publicKey);
            expect(choice.shared?.equals(sharedSecret(dialing.privateKey, accepting.publicKey))).to.equal(true);
          }
        });
      }
    }
  }
});
