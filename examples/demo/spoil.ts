// What the demo does to one message to show that it would notice: --spoil.

export type Spoil = (message: Buffer, index: number) => readonly Buffer[];

const SPOILED_INDEX = 20;

const ways: Readonly<Record<string, (message: Buffer) => readonly Buffer[]>> = {
  nothing: (message) => [message],
  lose: () => [],
  double: (message) => [message, message],
  change: (message) => [Buffer.from(message).fill((message.at(-1) ?? 0) ^ 1, message.length - 1)],
};

/** @returns what the receiver is handed in place of a message: that message, unless it is the spoiled one */
export function spoilerOf(name: string): Spoil {
  const way = ways[name];
  if (way === undefined) throw new Error(`--spoil takes ${Object.keys(ways).join(', ')}`);
  return (message, index) => (index === SPOILED_INDEX ? way(message) : [message]);
}
