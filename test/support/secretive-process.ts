// A process of its own for test/security/secrets.test.ts, since NODE_DEBUG is read once: opens a session with a psk and credentials, loses
// its circuit, is refused once, and looks through the strings of its heap. On stdin 16 bytes of psk, then the credentials: as arguments
// they would be strings from the start. Prints the session's id and keys, and the secrets that were found in the heap, as JSON.

import { readFileSync } from 'node:fs';
import { getHeapSnapshot } from 'node:v8';
import { SessionClient } from '../../lib/client.ts';
import { lines } from '../../lib/framing/lines.ts';
import { next, proxied } from './net.ts';

/** Every string of the heap, those of what was logged among them. Bytes outside of strings are not in it. */
async function heapStrings(): Promise<readonly string[]> {
  const chunks: Buffer[] = [];
  for await (const chunk of getHeapSnapshot()) chunks.push(Buffer.from(chunk));
  return (JSON.parse(Buffer.concat(chunks).toString()) as { strings: string[] }).strings;
}

const input = readFileSync(0);
const psk = input.subarray(0, 16);
const credentials = input.subarray(16);
const { pair, proxy } = await proxied({ framing: lines(), shared: { psk }, client: { credentials } });
const { near } = await pair.open();
const keys = pair.client.record(near).subarray(19, 83);
const attached = next(near, 'attached');
proxy.cutAll();
await attached;
await new SessionClient({ ...pair.clientOptions, psk: Buffer.from(psk).reverse() }).open().catch(() => {});

const strings = await heapStrings();
const secrets = { psk, credentials, 'client key': keys.subarray(0, 32), 'server key': keys.subarray(32) };
const found = Object.entries(secrets).filter(([, secret]) => {
  const forms = (['hex', 'base64', 'base64url', 'latin1'] as const).map((encoding) => secret.toString(encoding).slice(0, 20));
  return forms.some((form) => strings.some((text) => text.includes(form)));
});
const searched = strings.some((text) => text.includes(near.id)) ? strings.length : 0;
process.stdout.write(JSON.stringify({ id: near.id, keys: keys.toString('hex'), searched, found: found.map(([name]) => name) }));
near.destroy();
await proxy.close();
await pair[Symbol.asyncDispose]();
