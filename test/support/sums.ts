// A client of a server that adds up what it is sent, and the answers that it has to get.

import { SessionClient } from '../../lib/client.ts';
import { lines } from '../../lib/framing/lines.ts';
import type { Session } from '../../lib/session.ts';

export interface SumClient {
  readonly client: SessionClient<string>;
  readonly session: Session<string>;
  readonly answers: string[];
}

export async function openSums(port: number): Promise<SumClient> {
  const client = new SessionClient({ framing: lines(), port });
  const session = await client.open();
  const answers: string[] = [];
  session.receive((line) => {
    answers.push(line);
  });
  return { client, session, answers };
}

/** The answers to 1, 2, 3 and so on. */
export function sumTo(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `${i + 1} ${((i + 1) * (i + 2)) / 2}`);
}
