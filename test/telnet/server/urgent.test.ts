// Urgent data of telnet clients (Synch), sent by perl, since Node cannot: with SO_OOBINLINE and without, none of its bytes gets to the
// program, and what was typed around it does.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect } from 'chai';
import { Door, PASSWORD, PROMPT } from './support.ts';

/** Logs in, types, sends the Synch (its last byte urgent), types on, and shows what came. */
const CLIENT = `
use Socket; $| = 1;
my ($port, $urgent, @words) = @ARGV;
socket(my $s, PF_INET, SOCK_STREAM, 0) or die;
connect($s, sockaddr_in($port, inet_aton('127.0.0.1'))) or die;
my $seen = '';
sub sees {
  my $what = shift;
  while (index($seen, $what) < 0) { sysread($s, my $more, 65536) or die "closed: $seen"; $seen .= $more; }
  my $at = index($seen, $what);
  my $before = substr($seen, 0, $at);
  $seen = substr($seen, $at + length $what);
  $before
}
for my $pair (['login: ', "alice\\r"], ['password: ', "$words[0]\\r"], [$words[1], "cat -v\\r"]) { sees($pair->[0]); syswrite($s, $pair->[1]); }
sees("cat -v");
syswrite($s, "before\\r"); sees("before\\r\\nbefore");
my $bytes = pack('H*', $urgent);
syswrite($s, substr($bytes, 0, -1)) if length $bytes > 1;
send($s, substr($bytes, -1), MSG_OOB);
select(undef, undef, undef, 0.05);
syswrite($s, pack('H*', $words[2]) . "after\\r");
my $between = sees("after\\r\\n") . sees("after\\r\\n");
$between =~ s/[\\r\\n]//g;
print $between eq '' ? "intact\\n" : "between: $between\\n";
`;

describe('telnet server: urgent data', function () {
  this.timeout(20_000);

  // RFC 854: the DM is urgent. GNU telnet marks one byte less: its IAC is.
  const synches = [
    ['IAC and an urgent DM', 'fff2', ''],
    ['an urgent IAC and then DM', 'ff', 'f2'],
  ] as const;
  for (const inlineUrgent of [true, false]) {
    for (const [name, urgent, next] of synches) {
      it(`${name}, ${inlineUrgent ? 'in line' : 'repaired'}: the program sees nothing of it`, async () => {
        await using door = await Door.open({ inlineUrgent });
        expect(door.server.inlineUrgent).to.equal(inlineUrgent);
        const client = spawn('perl', ['-e', CLIENT, String(door.port), urgent, PASSWORD, PROMPT, next], {
          stdio: ['ignore', 'pipe', 'inherit'],
        });
        const pieces: string[] = [];
        client.stdout.setEncoding('latin1').on('data', (text: string) => pieces.push(text));
        await once(client, 'close');
        expect(pieces.join('')).to.equal('intact\n');
      });
    }
  }
});
