// A mistake planted for the fuzzer's own test: three bytes, one behind the other, must be right to reach it.

export function planted(input: Buffer): void {
  if (input[0] !== 0x42) return;
  if (input[1] !== 0x55) return;
  if (input[2] === 0x47) throw new Error('planted');
}
