// A process of its own, run under strace, which counts its system calls. Takes what to do and how often; with 0 it only opens a session
// and closes it, so that the difference is what the messages cost.

import { READS, Traffic } from './traffic.ts';

const [what = '', count = ''] = process.argv.slice(2);
const { receiveRanges } = READS;
if (receiveRanges === undefined) throw new Error('receiveRanges is gone');
const traffic = what === 'echo' ? await Traffic.echo(128) : await Traffic.oneWay(receiveRanges, Number(what));
if (Number(count) > 0) await (what === 'echo' ? traffic.roundTrips(Number(count)) : traffic.send(Number(count)));
await traffic.close();
