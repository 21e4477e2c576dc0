// A process of its own for test/security/secrets.test.ts, since NODE_DEBUG is read once: opens a session with a psk and credentials, loses
// its circuit, is refused once, and ends. argv: psk in hex, credentials. Prints the session's id and keys as JSON.

import { SessionClient } from '../../lib/client.ts';
import { lines } from '../../lib/framing/lines.ts';
import { next, proxied } from './net.ts';

const [hex, credentials] = process.argv.slice(2) as [string, string];
const psk = Buffer.from(hex, 'hex');
const { pair, proxy } = await proxied({ framing: lines(), shared: { psk }, client: { credentials } });
const { near } = await pair.open();
const record = pair.client.record(near);
const attached = next(near, 'attached');
proxy.cutAll();
await attached;
await new SessionClient({ ...pair.clientOptions, psk: Buffer.from(psk).reverse() }).open().catch(() => {});
process.stdout.write(JSON.stringify({ id: near.id, keys: record.subarray(19, 83).toString('hex') }));
near.destroy();
await proxy.close();
await pair[Symbol.asyncDispose]();
