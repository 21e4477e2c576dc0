// The telnet server in a process of its own, so that what is measured is its event loop and not the test's. Over IPC: asked to measure, it
// tells the longest delay of its loop since it was asked last.

import { monitorEventLoopDelay } from 'node:perf_hooks';
import { AuditLog } from '../../examples/telnet/server/audit.ts';
import { TelnetServer } from '../../examples/telnet/server/telnet-server.ts';
import { Users } from '../../examples/telnet/server/users.ts';
import { cheap, PASSWORD, plainShell } from '../telnet/server/support.ts';

const users = new Users(cheap);
await users.add('alice', PASSWORD, plainShell);
const audit = await AuditLog.open(null);
const limits = { loginsPerAddress: 64, shellsPerUser: 64 };
const server = new TelnetServer({ users, audit, port: 0, allowRoot: true, limits });
const { port } = await server.listen();
const delay = monitorEventLoopDelay({ resolution: 1 });
delay.enable();
process.on('message', () => {
  process.send?.({ longestMs: delay.max / 1e6, percentileMs: delay.percentile(99) / 1e6 });
  delay.reset();
});
process.once('disconnect', () => process.exit());
process.send?.({ port });
