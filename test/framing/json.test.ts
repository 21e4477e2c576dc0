// json(): the contract over lines and over bytes, and values that are dangerous to take.

import { expect } from 'chai';
import { delimited } from '../../lib/framing/delimited.ts';
import { json, MAX_JSON_DEPTH } from '../../lib/framing/json.ts';
import { lengthPrefix } from '../../lib/framing/length-prefix.ts';
import { lines } from '../../lib/framing/lines.ts';
import { raw } from '../../lib/framing/raw.ts';
import { Deframer, encodeMessage } from '../../lib/framing/standalone.ts';
import type { Random } from '../../lib/testing/random.ts';
import { bytes, framingContract } from '../contract/framing.ts';
import { LIMIT, type Traits } from '../contract/framing-subject.ts';

const cycle: { self?: unknown } = {};
cycle.self = cycle;
const protoKey: unknown = JSON.parse('{"a":{"__proto__":{"admin":true}}}');

function nested(depth: number): unknown {
  let value: unknown = 1;
  for (let level = 0; level < depth; level++) value = level % 2 === 0 ? [value] : { value };
  return value;
}

function anyJson(random: Random, depth = 0): unknown {
  const scalars = [null, true, -1.5e300, '', 'ü"\\\n\u0000\u2028', '__proto__', '\ud800', 'x'.repeat(20)];
  if (depth > 2 || random.chance(0.5)) return random.pick(scalars);
  const items = Array.from({ length: random.integer(0, 3) }, () => anyJson(random, depth + 1));
  return random.chance(0.5) ? items : Object.fromEntries(items.map((item, index) => [`k${index}\n`, item]));
}

const traits: Traits<unknown> = {
  overheadBytes: 4,
  sized: (size) => 'a'.repeat(size - 2),
  random: anyJson,
  refused: [undefined, () => 1, Symbol('s'), cycle, 1n, protoKey, nested(MAX_JSON_DEPTH + 1), { toJSON: () => undefined }],
  endless: null,
  arrived: JSON.stringify,
};
const samples = [{ a: [1, null, 'ü\n'] }, null, 'hello', 0, nested(MAX_JSON_DEPTH - 1), 'a'.repeat(LIMIT - 2), { text: '"__proto__": 1' }];

framingContract(
  'json(lines())',
  () => json(lines()),
  samples.filter((_, index) => index !== 4),
  [],
  traits,
);
framingContract(
  'json(lengthPrefix(2))',
  () => json(lengthPrefix({ bytes: 2 })),
  samples.filter((_, index) => index !== 4),
  [{ what: 'a length too large', bytes: bytes(0xff, 0xff), code: 'ERR_MESSAGE_TOO_LARGE' }],
  traits,
);

describe('json', () => {
  const received = (text: string): unknown => new Deframer(json(lines())).push(Buffer.from(`${text}\n`))[0];

  it('writes NDJSON over lines', () => {
    expect(encodeMessage(json(lines()), { a: 1, b: undefined, c: 'x\ny' }).toString()).to.equal('{"a":1,"c":"x\\ny"}\n');
    expect(encodeMessage(json(delimited()), 'ü')).to.deep.equal(Buffer.from('\x02"ü"\x03'));
    expect(json(lines()).name).to.equal('json/lines/lf/utf8');
  });

  it('reports what is not JSON, behind all earlier messages', () => {
    for (const text of ['', '{', '{a:1}', 'undefined', 'NaN', '[1,]', "'a'", '1 2', '"\t"', '\ufeff1']) {
      const deframer = new Deframer(json(lines()));
      expect(deframer.push(Buffer.from(`1\n${text}\n2\n`)), text).to.deep.equal([1]);
      expect(() => deframer.push(Buffer.alloc(0)), text)
        .to.throw()
        .with.property('code', 'ERR_FRAMING');
    }
    const notText = new Deframer(json(lengthPrefix({ bytes: 1 })));
    expect(() => notText.push(bytes(3, '"', 0xff, '"'))).to.throw('not UTF-8');
  });

  it('takes values just as deep as it sends them', () => {
    const deepest = nested(MAX_JSON_DEPTH);
    expect(received(JSON.stringify(deepest))).to.deep.equal(deepest);
    expect(() => encodeMessage(json(lines()), deepest)).to.not.throw();
    for (const text of [
      JSON.stringify(nested(MAX_JSON_DEPTH + 1)),
      '['.repeat(500_000),
      `${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`,
    ]) {
      expect(() => received(text))
        .to.throw()
        .with.property('code', 'ERR_FRAMING');
    }
    expect(received(`"${'['.repeat(1000)}"`)).to.equal('['.repeat(1000));
    expect(received(`"\\"${'{'.repeat(1000)}\\\\"`)).to.equal(`"${'{'.repeat(1000)}\\`);
    expect(received(`[${'[],'.repeat(1000)}{}]`)).to.have.length(1001);
  });

  it('refuses the key __proto__ in any spelling, and nothing that only looks like it', () => {
    for (const text of [
      '{"__proto__":1}',
      '[{"a":{"__proto__" : {}}}]',
      '{"\\u005f_proto__":1}',
      '{"__pr\\u006Fto__":1}',
      '{"a":1,"__proto__":null}',
    ]) {
      expect(() => received(text), text)
        .to.throw()
        .with.property('code', 'ERR_FRAMING');
    }
    for (const text of [
      '"__proto__"',
      '{"a":"__proto__"}',
      '{"__proto__x":1}',
      '{"a":"\\"__proto__\\":1"}',
      '{"\\u0061":1}',
      '{"constructor":1}',
    ]) {
      expect(JSON.stringify(received(text))).to.equal(JSON.stringify(JSON.parse(text)));
      expect(() => encodeMessage(json(lines()), JSON.parse(text))).to.not.throw();
    }
    expect(({} as { admin?: boolean }).admin).to.equal(undefined);
  });

  it('leaves a refusal of the inner framing as it is', () => {
    const framing = json(lines({ delimiter: ',', encoding: 'latin1' }));
    expect(() => encodeMessage(framing, [1, 2]))
      .to.throw('delimiter')
      .with.property('code', 'ERR_INVALID_MESSAGE');
    expect(() => encodeMessage(framing, '€'))
      .to.throw()
      .with.property('code', 'ERR_INVALID_MESSAGE');
    expect(encodeMessage(framing, [1]).toString()).to.equal('[1],');
  });

  it('carries the cause of a refusal', () => {
    const failure = new Error('toJSON failed');
    const failing = {
      toJSON: () => {
        throw failure;
      },
    };
    expect(() => encodeMessage(json(lines()), failing))
      .to.throw()
      .with.property('cause', failure);
  });

  it('refuses to stand on raw bytes', () => {
    expect(() => json(raw()))
      .to.throw()
      .with.property('code', 'ERR_INVALID_OPTION');
  });
});
