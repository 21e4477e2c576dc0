// What broke earlier designs of tickets, and of commits, each as it was found (DESIGN's review, R3 and R4; `ticket.py` and docs/model): a
// client or server by hand plays the other end, so that what must not happen could.

import { expect } from 'chai';
import { SessionClient } from '../../lib/client.ts';
import type { ResumedFlight } from '../../lib/core/handshake.ts';
import { Frame, Kind, readU64, ticketHeader } from '../../lib/core/wire.ts';
import { decodeTicket } from '../../lib/durable/ticket.ts';
import { SessionError } from '../../lib/errors.ts';
import { lines } from '../../lib/framing/lines.ts';
import type { TicketRing } from '../../lib/options.ts';
import { SessionServer } from '../../lib/server.ts';
import type { Session } from '../../lib/session.ts';
import { eventually } from '../support/net.ts';
import { answerOpen, dataFrame, RawServer, readResume, resumedFlight } from '../support/raw-peer.ts';
import { type Sum, TicketHolder, TicketNode, testRing } from '../support/ticket-node.ts';

const never = { challenge: 'never' } as const;

/** What is sealed, as it is sealed. */
interface Sealed {
  readonly received: number;
  readonly sent: number;
  readonly data: unknown;
}

function watched(seals: Sealed[]): TicketRing {
  const ring = testRing();
  return {
    ticketBytes: ring.ticketBytes,
    lifetimeMs: ring.lifetimeMs,
    open: (purpose, ticket) => ring.open(purpose, ticket),
    seal: (purpose, record, data) => {
      const { received, sent } = decodeTicket(Buffer.from(record));
      const text = Buffer.from(data).toString();
      seals.push({ received, sent, data: text === '' ? undefined : JSON.parse(text) });
      return ring.seal(purpose, record, data);
    },
  };
}

describe('R3: tickets', () => {
  it('a) no ACK overtakes the ticket that allows it: what is acked is in the ticket', async () => {
    await using node = await new TicketNode(testRing(), never).listen();
    const holder = await TicketHolder.open(node.port);
    for (let i = 1; i <= 20; i++) holder.say(String(i));
    let told = 0;
    let allowed = 0;
    for (let acked = 0; acked < holder.sent; ) {
      const { type, body } = await holder.peer.frame();
      if (type === Frame.TICKET) {
        const opened = testRing().open('outlast session', body.subarray(8));
        if (typeof opened === 'string') throw new Error(opened);
        const { received, sent } = decodeTicket(opened.record);
        expect(sent).to.equal(readU64(body, 0));
        expect(told, 'the ticket stands behind what it covers').to.equal(sent);
        allowed = received;
      } else if (type === Frame.DATA) {
        told = readU64(body, 0) + body.length - 8;
      } else if (type === Frame.ACK) {
        acked = readU64(body, 0);
        expect(acked).to.be.at.most(allowed);
      }
    }
    holder.peer.destroy();
  });

  it('b) what an older server sent and no ticket covers is never handed out, nor told as received', async () => {
    await using server = await new RawServer().listen();
    const client = new SessionClient({ framing: lines(), port: server.port });
    const opening = client.open();
    const first = await server.next();
    const session = await answerOpen(first, { ticketBytes: 1000 });
    const mine = await opening;
    const got: string[] = [];
    mine.receive((line) => {
      got.push(line);
    });
    first.write(dataFrame(0, 'o0\n'), ticketHeader(3, 5), Buffer.from('first'), dataFrame(3, 'o1 of the older\n'));
    await eventually(() => mine.stats.received === 19);
    expect(got).to.deep.equal(['o0']);
    first.destroy();
    const second = await server.next();
    const { flight, bytes } = await readResume(second);
    expect(flight.positions.received).to.equal(3);
    expect(flight.ticket?.toString()).to.equal('first');
    second.write(resumedFlight(session, [bytes], { generation: flight.generation, positions: { base: 3, sent: 3 } }));
    second.write(dataFrame(3, 'o1 of the newer\n'), ticketHeader(19, 6), Buffer.from('second'));
    await eventually(() => got.length === 2);
    expect(got).to.deep.equal(['o0', 'o1 of the newer']);
    mine.destroy();
  });

  it('c) a server that still has the session in memory leaves it for the ticket of another one', async () => {
    await using one = await new TicketNode(testRing(), never).listen();
    await using two = await new TicketNode(testRing(), never).listen();
    const holder = await TicketHolder.open(one.port);
    const t1 = await holder.ask('1', '1 1');
    expect((await holder.show(two.port, t1)).kind).to.equal(Kind.RESUMED);
    const t2 = await holder.ask('2', '2 3');
    // Its memory has one message more than the ticket of the first, and is of another life than that of the second.
    const answer = (await holder.show(one.port, t2)) as ResumedFlight;
    expect(answer.positions.acked).to.equal(4);
    expect(one.ends).to.deep.equal(['ERR_FENCED']);
    expect(one.sessions.map(({ restored }) => restored)).to.deep.equal([false, true]);
    expect(one.sessions[1]?.data).to.deep.equal({ count: 2, sum: 3 });
    await holder.nextTicket();
    const t3 = await holder.ask('3', '3 6');
    expect(t3.covered).to.equal(12);
    holder.peer.destroy();
  });

  it('c) and keeps its memory where a ticket of its own comes back, also from before the last one', async () => {
    await using node = await new TicketNode(testRing(), never).listen();
    const holder = await TicketHolder.open(node.port);
    const t1 = await holder.ask('1', '1 1');
    await holder.ask('2', '2 3');
    // As if the second ticket had been lost on the way.
    const answer = (await holder.show(node.port, t1)) as ResumedFlight;
    expect([answer.positions.received, answer.positions.acked]).to.deep.equal([4, 2]);
    expect((await holder.peer.stream(4)).toString()).to.equal('2 3\n');
    expect(node.handled).to.equal(2);
    expect(node.sessions.length).to.equal(1);
    holder.peer.destroy();
  });

  it('c) a RESUMED that is lost costs a restored server nothing: the same ticket comes again', async () => {
    const { holder, ticket } = await (async () => {
      await using gone = await new TicketNode(testRing(), never).listen();
      const opened = await TicketHolder.open(gone.port);
      return { holder: opened, ticket: await opened.ask('1', '1 1') };
    })();
    await using node = await new TicketNode(testRing(), never).listen();
    expect((await holder.show(node.port, ticket)).kind).to.equal(Kind.RESUMED);
    expect((await holder.show(node.port, ticket)).kind).to.equal(Kind.RESUMED);
    expect(node.sessions.length).to.equal(1);
    holder.peer.destroy();
  });

  it('d) outputs of one step that would not fit the window are refused before they are taken', async () => {
    const codes: unknown[] = [];
    await using server = new SessionServer({ framing: lines(), tickets: testRing(), window: 8192, limits: { messageBytes: 4096 } });
    server.on('session', (session) => {
      session.on('close', () => {});
      const tried = (text: string): void => {
        try {
          session.send(text);
          codes.push('taken');
        } catch (error) {
          codes.push(SessionError.is(error) ? error.code : error);
        }
      };
      session.receive((line) => {
        for (const bytes of line.split(' ').map(Number)) tried('x'.repeat(bytes - 1));
      });
    });
    const { port } = await server.listen({ port: 0 });
    await using client = new SessionClient({ framing: lines(), port, window: 8192, limits: { messageBytes: 4096 } });
    const session = await client.open();
    let got = 0;
    session.receive((line) => {
      got += line.length + 1;
    });
    session.send('2000 2000 2000');
    await eventually(() => codes.length === 3);
    session.send('4097');
    session.send('4096');
    await eventually(() => codes.length === 5 && got === 8096);
    expect(codes).to.deep.equal(['taken', 'taken', 'ERR_BUFFER_FULL', 'ERR_MESSAGE_TOO_LARGE', 'taken']);
  });

  it('d) many steps for a client that reads slowly, through a window of two messages', async () => {
    const small = { framing: lines(), window: 4096, limits: { messageBytes: 1024 } };
    await using server = new SessionServer({ ...small, tickets: testRing() });
    server.on('session', (session) => {
      session.on('close', () => {});
      session.receive((line) => {
        session.send(line.padEnd(900, '.'));
      });
    });
    const { port } = await server.listen({ port: 0 });
    await using client = new SessionClient({ ...small, port });
    const session = await client.open();
    const got: string[] = [];
    session.receive(async (line) => {
      await new Promise((resolve) => setImmediate(resolve));
      got.push(line.slice(0, 3).replaceAll('.', ''));
    });
    for (let i = 0; i < 100; i++) session.send(String(i));
    await eventually(() => got.length === 100);
    expect(got).to.deep.equal(Array.from({ length: 100 }, (_, i) => String(i)));
  });
});

describe('R4: boundaries, as tickets seal them', () => {
  /** Runs a server whose handler is given, says `messages` to it, and tells what was sealed. */
  const sealsOf = async (serve: (session: Session<string>) => void, messages: readonly string[], answers: number): Promise<Sealed[]> => {
    const seals: Sealed[] = [];
    await using server = new SessionServer({ framing: lines(), tickets: watched(seals) });
    server.on('session', (session) => {
      session.on('close', () => {});
      serve(session);
    });
    const { port } = await server.listen({ port: 0 });
    await using client = new SessionClient({ framing: lines(), port });
    const session = await client.open();
    let got = 0;
    session.receive(() => {
      got++;
    });
    for (const message of messages) session.send(message);
    await eventually(() => got === answers);
    return seals;
  };

  it('b), c) no ticket has half of what a message does, whatever a timer sends meanwhile', async () => {
    const seals = await sealsOf(
      (session) => {
        session.data = { half: 0, whole: 0 };
        const timer = setInterval(() => {
          const { half, whole } = session.data as { half: number; whole: number };
          // In the middle of a message this is not a boundary: it is sealed with its end.
          session.data = { half, whole };
        }, 1);
        session.on('close', () => clearInterval(timer));
        session.receive(async (line) => {
          const { half, whole } = session.data as { half: number; whole: number };
          session.data = { half: half + 1, whole };
          await new Promise((resolve) => setTimeout(resolve, 2));
          session.data = { half: half + 1, whole: whole + 1 };
          session.send(line);
        });
      },
      ['1', '2', '3', '4', '5', '6'],
      6,
    );
    expect(seals.length).to.be.at.least(3);
    for (const { received, sent, data } of seals) {
      const { half, whole } = data as { half: number; whole: number };
      // END takes an offset of its own.
      expect([half, Math.floor(received / 2), Math.floor(sent / 2)], JSON.stringify(data)).to.deep.equal([whole, whole, whole]);
    }
  });

  it('d) what a server sends of its own will is sealed by itself, with the data of the same turn', async () => {
    const seals = await sealsOf(
      (session) => {
        session.data = 0;
        const push = (left: number): void => {
          if (left === 0) return;
          session.send('push');
          session.data = (session.data as number) + 1;
          setImmediate(push, left - 1);
        };
        setImmediate(push, 5);
      },
      [],
      5,
    );
    for (const { sent, data } of seals) expect(Math.floor(sent / 5)).to.equal(data ?? 0);
    expect(seals.at(-1)?.data).to.equal(5);
  });

  it('e) flushed() in a handler whose answer waits for its end is refused', async () => {
    let code = '';
    await sealsOf(
      (session) => {
        session.receive(async (line) => {
          session.send(line);
          code = await session.flushed().then(
            () => 'flushed',
            (error: SessionError) => error.code,
          );
        });
      },
      ['one'],
      1,
    );
    expect(code).to.equal('ERR_WOULD_DEADLOCK');
  });

  it('commit() ends a step in the middle of a message: what it has sent leaves', async () => {
    const seals = await sealsOf(
      (session) => {
        session.receive(async (line) => {
          session.data = { count: 1, sum: Number(line) } satisfies Sum;
          session.send('soon');
          await session.commit();
          session.send('done');
        });
      },
      ['5'],
      2,
    );
    expect(seals.some(({ sent, received }) => sent === 5 && received === 2)).to.equal(true);
  });
});
