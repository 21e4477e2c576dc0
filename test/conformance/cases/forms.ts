// What is wrong with a flight's TLVs in the same way for every flight: a table of sizes in, one edit a mistake out.

import type { Part, Tlv } from '../bytes.ts';

export interface Mistake {
  readonly rule: string;
  readonly name: string;
  readonly edit: (tlvs: Tlv[]) => Part[];
}

/** @param sizes name, tag, and right length, 0 where several are right */
export function badTlvs(sizes: readonly (readonly [string, number, number])[]): Mistake[] {
  const mistakes: Mistake[] = [];
  for (const [name, tag, bytes] of sizes) {
    mistakes.push({ rule: 'H-12', name: `no ${name}`, edit: (tlvs) => without(tlvs, tag) });
    mistakes.push({ rule: 'H-11', name: `an empty ${name}`, edit: (tlvs) => sized(tlvs, tag, 0) });
    if (bytes > 1) mistakes.push({ rule: 'H-11', name: `a ${name} one byte short`, edit: (tlvs) => sized(tlvs, tag, bytes - 1) });
    if (bytes > 0) mistakes.push({ rule: 'H-11', name: `a ${name} one byte long`, edit: (tlvs) => sized(tlvs, tag, bytes + 1) });
    mistakes.push({ rule: 'H-8', name: `${name} twice`, edit: (tlvs) => tlvs.flatMap((one) => (one[0] === tag ? [one, one] : [one])) });
  }
  for (let at = 1; at < sizes.length; at++) {
    const [[first, a], [second, b]] = [sizes[at - 1], sizes[at]] as [readonly [string, number, number], readonly [string, number, number]];
    mistakes.push({ rule: 'H-8', name: `${second} in front of ${first}`, edit: (tlvs) => swapped(tlvs, a, b) });
  }
  mistakes.push({ rule: 'H-7', name: 'a last TLV of one byte', edit: (tlvs) => [...tlvs, Buffer.of(0x90)] });
  mistakes.push({ rule: 'H-7', name: 'a last TLV of two bytes', edit: (tlvs) => [...tlvs, Buffer.of(0x90, 0)] });
  mistakes.push({ rule: 'H-7', name: 'a last TLV that reaches beyond the body', edit: (tlvs) => [...tlvs, Buffer.of(0x90, 0, 1)] });
  return mistakes;
}

export function without(tlvs: readonly Tlv[], tag: number): Tlv[] {
  return tlvs.filter((one) => one[0] !== tag);
}

function sized(tlvs: readonly Tlv[], tag: number, bytes: number): Tlv[] {
  return tlvs.map(
    ([found, value]): Tlv => (found === tag ? [tag, Buffer.concat([value, Buffer.alloc(bytes)]).subarray(0, bytes)] : [found, value]),
  );
}

function swapped(tlvs: readonly Tlv[], a: number, b: number): Tlv[] {
  const of = (tag: number): Tlv => tlvs.find((one) => one[0] === tag) as Tlv;
  return tlvs.map((one) => (one[0] === a ? of(b) : one[0] === b ? of(a) : one));
}
