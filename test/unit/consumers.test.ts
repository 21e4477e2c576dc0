// The ways to read, over a core without sockets: what is handed out, when it counts as consumed, and how each learns of the end.
import { expect } from 'chai';
import { type Consumer, HandlerConsumer, IteratorConsumer, pullBatch, pullOne, RangeConsumer, type Source } from '../../lib/consumers.ts';
import type { SessionCore } from '../../lib/core/session-core.ts';
import { CloseCode } from '../../lib/core/wire.ts';
import { SessionStream, type StreamHost } from '../../lib/duplex.ts';
import { SessionError } from '../../lib/errors.ts';
import { json } from '../../lib/framing/json.ts';
import { lines } from '../../lib/framing/lines.ts';
import { processRuntime } from '../../lib/runtime.ts';
import { Turns } from '../../lib/turns.ts';
import { attachedLines, coreOf, data, end, FRESH, give } from '../support/cores.ts';

/** What the driver does around a core and its consumer, and nothing else. */
class Host<Message> implements Source<Message> {
  readonly core: SessionCore<Message>;
  consumer: Consumer | null = null;
  readonly failures: unknown[] = [];
  readonly settings: { readonly turns: Turns };
  released(): void {
    this.consumer = null;
  }
  #offset = 0;
  #told = false;

  constructor(core: SessionCore<Message>, turns: Turns = new Turns(processRuntime)) {
    this.core = core;
    this.settings = { turns };
  }

  settled(): void {
    this.core.settle(0);
    this.#tell();
  }

  settleSoon(): void {
    this.settled();
  }

  applicationFailed(error: unknown): void {
    this.failures.push(error);
    this.core.fail(CloseCode.APPLICATION, new SessionError('ERR_APPLICATION', 'test', { cause: error }));
    this.#tell();
  }

  use<C extends Consumer>(consumer: C): C {
    this.consumer = consumer;
    return consumer;
  }

  arrive(text: string): void {
    give(this.core, data(this.#offset, text), 0);
    this.#offset += text.length;
    this.consumer?.wake();
    this.#tell();
  }

  peerEnds(): void {
    give(this.core, end(this.#offset), 0);
    this.consumer?.wake();
    this.#tell();
  }

  get acked(): number {
    return this.core.inbound.acked;
  }

  #tell(): void {
    if (this.core.state !== 'closed' || this.#told) return;
    this.#told = true;
    this.consumer?.ended(this.core.cause);
  }
}

function host(limits: { batchMessages?: number; messageBytes?: number } = {}): Host<string> {
  return new Host(attachedLines('accept', limits));
}

const codeOf = (error: unknown): string => (SessionError.is(error) ? error.code : `not ours: ${error}`);
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('for await', () => {
  it('hands out one message, and consumes it when the next is asked for', async () => {
    const source = host();
    source.arrive('a\nb\n');
    const loop = source.use(new IteratorConsumer(source, pullOne));
    expect(await loop.next()).to.deep.equal({ value: 'a', done: false });
    expect(source.acked).to.equal(0);
    expect((await loop.next()).value).to.equal('b');
    expect(source.acked).to.equal(2);
    const waiting = loop.next();
    expect(source.acked).to.equal(4);
    source.arrive('c\n');
    expect((await waiting).value).to.equal('c');
  });

  it('serves several waiting calls in order', async () => {
    const source = host();
    const loop = source.use(new IteratorConsumer(source, pullOne));
    const all = Promise.all([loop.next(), loop.next(), loop.next(), loop.next()]);
    source.arrive('a\nb\n');
    expect(source.acked, 'whoever waits has asked for the next').to.equal(4);
    source.arrive('c\n');
    source.peerEnds();
    expect((await all).map(({ value, done }) => (done ? 'done' : value))).to.deep.equal(['a', 'b', 'c', 'done']);
  });

  it('finishes when the peer has ended and all is consumed, and stays finished', async () => {
    const source = host();
    source.arrive('a\n');
    source.peerEnds();
    const got: string[] = [];
    const loop = source.use(new IteratorConsumer(source, pullOne));
    for await (const text of loop) got.push(text);
    expect(got).to.deep.equal(['a']);
    expect([source.core.inbound.ended, source.consumer]).to.deep.equal([true, null]);
    expect(await loop.next()).to.deep.equal({ value: undefined, done: true });
  });

  it('counts the last message as consumed when the loop is left', async () => {
    const source = host();
    source.arrive('a\nb\n');
    for await (const text of source.use(new IteratorConsumer<string, string>(source, pullOne))) {
      expect(text).to.equal('a');
      break;
    }
    expect([source.acked, source.consumer, source.core.inbound.inProgress]).to.deep.equal([2, null, false]);
    const next = source.use(new IteratorConsumer(source, pullOne));
    expect((await next.next()).value).to.equal('b');
  });

  it('throws the cause of an unclean end once, then is done', async () => {
    for (const waits of [true, false]) {
      const source = host();
      const loop = source.use(new IteratorConsumer(source, pullOne));
      const early = waits ? loop.next() : undefined;
      early?.catch(() => {});
      source.core.fail(CloseCode.DESTROYED, new SessionError('ERR_DESTROYED', 'test'));
      source.settled();
      const error = await (early ?? loop.next()).then(
        () => undefined,
        (reason: unknown) => reason,
      );
      expect(codeOf(error)).to.equal('ERR_DESTROYED');
      expect((await loop.next()).done).to.equal(true);
    }
  });
});

describe('batches', () => {
  it('hand out what has been decoded, and consume all of it at the next call', async () => {
    const source = host({ batchMessages: 3 });
    source.arrive('a\nb\nc\nd\n');
    const loop = source.use(new IteratorConsumer<string, readonly string[]>(source, pullBatch));
    expect((await loop.next()).value).to.deep.equal(['a', 'b', 'c']);
    expect(source.acked).to.equal(0);
    expect((await loop.next()).value).to.deep.equal(['d']);
    expect(source.acked).to.equal(6);
    const waiting = loop.next();
    source.arrive('e\nf\n');
    expect((await waiting).value).to.deep.equal(['e', 'f']);
    source.peerEnds();
    expect((await loop.next()).done).to.equal(true);
  });
});

describe('receive', () => {
  it('calls its handler with one message at a time, consumed when it returns', () => {
    const source = host();
    const seen: [string, number][] = [];
    source.use(new HandlerConsumer(source, (text) => void seen.push([text, source.acked])));
    source.arrive('a\nb\nc');
    source.arrive('\n');
    expect(seen.map(([text]) => text)).to.deep.equal(['a', 'b', 'c']);
    expect(source.acked).to.equal(6);
  });

  it('waits for a promise, and consumes when it resolves', async () => {
    const source = host();
    const open: (() => void)[] = [];
    const seen: string[] = [];
    source.use(
      new HandlerConsumer(source, (text) => {
        seen.push(text);
        return new Promise<void>((resolve) => open.push(resolve));
      }),
    );
    source.arrive('a\nb\n');
    source.arrive('c\n');
    await turn();
    expect([seen, source.acked]).to.deep.equal([['a'], 0]);
    open.shift()?.();
    await turn();
    expect([seen, source.acked]).to.deep.equal([['a', 'b'], 2]);
  });

  for (const [name, handler] of [
    [
      'throws',
      () => {
        throw new Error('bug');
      },
    ],
    ['rejects', () => Promise.reject(new Error('bug'))],
  ] as const) {
    it(`ends its session when it ${name}, with the message not consumed`, async () => {
      const source = host();
      let calls = 0;
      source.use(
        new HandlerConsumer(source, () => {
          calls++;
          return handler();
        }),
      );
      source.arrive('a\nb\n');
      await turn();
      expect([calls, source.acked, (source.failures[0] as Error).message]).to.deep.equal([1, 0, 'bug']);
    });
  }

  it('is to blame for a framing error of its own', () => {
    const source = host();
    source.use(
      new HandlerConsumer(source, () => {
        throw new SessionError('ERR_FRAMING', 'in a file that the handler reads');
      }),
    );
    source.arrive('a\n');
    expect([source.core.cause?.code, source.failures.length]).to.deep.equal(['ERR_APPLICATION', 1]);
  });

  it('does nothing more once the session has ended', async () => {
    const source = host();
    const seen: string[] = [];
    let open: () => void = () => {};
    const consumer = source.use(
      new HandlerConsumer(source, (text) => {
        seen.push(text);
        return new Promise<void>((resolve) => {
          open = resolve;
        });
      }),
    );
    source.arrive('a\nb\n');
    consumer.ended();
    open();
    await turn();
    expect(seen).to.deep.equal(['a']);
  });
});

describe('receiveRanges', () => {
  it('gives ranges, consumed when the call returns', () => {
    const source = host();
    const seen: string[] = [];
    source.use(new RangeConsumer(source, (buffer, start, end) => void seen.push(buffer.toString('latin1', start, end))));
    source.arrive('a\nbc\nd');
    source.arrive('e\n');
    expect([seen, source.acked]).to.deep.equal([['a', 'bc', 'de'], 8]);
  });

  it('ends its session when it throws', () => {
    const source = host();
    source.use(
      new RangeConsumer(source, () => {
        throw new Error('bug');
      }),
    );
    source.arrive('a\nb\n');
    expect([source.failures.length, source.acked, source.core.cause?.code]).to.deep.equal([1, 0, 'ERR_APPLICATION']);
  });
});

describe('every way to read', () => {
  type Reader = (source: Host<string>, seen: string[]) => Promise<unknown>;
  const readers: Record<string, Reader> = {
    'for await': async (source, seen) => {
      for await (const text of source.use(new IteratorConsumer<string, string>(source, pullOne))) seen.push(text);
    },
    batches: async (source, seen) => {
      for await (const batch of source.use(new IteratorConsumer<string, readonly string[]>(source, pullBatch))) seen.push(...batch);
    },
    receive: async (source, seen) => {
      source.use(new HandlerConsumer(source, (text) => void seen.push(text))).wake();
    },
    'receive with promises': async (source, seen) => {
      source
        .use(
          new HandlerConsumer(source, async (text) => {
            await turn();
            seen.push(text);
          }),
        )
        .wake();
    },
    receiveRanges: async (source, seen) => {
      source.use(new RangeConsumer(source, (buffer, start, end) => void seen.push(buffer.toString('latin1', start, end)))).wake();
    },
  };
  for (const [name, read] of Object.entries(readers)) {
    for (const before of [true, false]) {
      it(`${name}: takes what precedes a fault, and learns of it (${before ? 'before' : 'behind'})`, async () => {
        const source = host({ messageBytes: 5 });
        const seen: string[] = [];
        const chunk = 'a\nb\nc\nmuch too long\nd\n';
        if (before) source.arrive(chunk);
        const outcome = read(source, seen).then(
          () => 'finished',
          (error: unknown) => codeOf(error),
        );
        if (!before) source.arrive(chunk);
        for (let i = 0; i < 10; i++) await turn();
        expect([seen, source.core.cause?.code]).to.deep.equal([['a', 'b', 'c'], 'ERR_MESSAGE_TOO_LARGE']);
        expect(await outcome).to.equal(name.startsWith('receive') ? 'finished' : 'ERR_MESSAGE_TOO_LARGE');
      });
    }
  }

  const jsonHost = (): Host<unknown> => {
    const core = coreOf<unknown>('accept', { framing: json(lines()) });
    core.circuitUp(FRESH, core.positions(), 0, 0);
    return new Host(core);
  };
  const jsonReaders: Record<string, (source: Host<unknown>, seen: unknown[]) => Promise<unknown>> = {
    'for await': async (source, seen) => {
      for await (const value of source.use(new IteratorConsumer<unknown, unknown>(source, pullOne))) seen.push(value);
    },
    batches: async (source, seen) => {
      for await (const batch of source.use(new IteratorConsumer<unknown, readonly unknown[]>(source, pullBatch))) seen.push(...batch);
    },
    receive: async (source, seen) => {
      source.use(new HandlerConsumer(source, (value) => void seen.push(value))).wake();
    },
    stream: async (source, seen) => {
      for await (const value of source.use(new SessionStream(streamHost(source), false))) seen.push(value);
    },
  };
  for (const [name, read] of Object.entries(jsonReaders)) {
    for (const before of [true, false]) {
      it(`${name}: takes what is in front of a message that cannot be made (${before ? 'before' : 'behind'})`, async () => {
        const source = jsonHost();
        const seen: unknown[] = [];
        const text = '1\n{"two":2}\nnot json\n4\n';
        if (before) source.arrive(text);
        read(source, seen).catch(() => {});
        if (!before) source.arrive(text);
        for (let i = 0; i < 10; i++) await turn();
        expect([seen, source.core.cause?.code, source.core.closeCode]).to.deep.equal([[1, { two: 2 }], 'ERR_FRAMING', CloseCode.FRAMING]);
        expect([source.acked, source.failures.length]).to.deep.equal([12, 0]);
      });
    }
  }

  it('stream: fails at null and does not take it for the end', async () => {
    const source = jsonHost();
    const seen: unknown[] = [];
    jsonReaders.stream?.(source, seen).catch(() => {});
    source.arrive('1\nnull\n2\n');
    for (let i = 0; i < 10; i++) await turn();
    expect([seen, source.core.cause?.code]).to.deep.equal([[1], 'ERR_APPLICATION']);
  });
});

describe('turns', () => {
  const readers: Readonly<Record<string, (source: Host<string>, seen: () => void) => unknown>> = {
    'for await': async (source, seen) => {
      for await (const _ of source.use(new IteratorConsumer<string, string>(source, pullOne))) seen();
    },
    batches: async (source, seen) => {
      for await (const batch of source.use(new IteratorConsumer<string, readonly string[]>(source, pullBatch))) batch.forEach(seen);
    },
    'receive()': (source, seen) => source.use(new HandlerConsumer(source, seen)),
    'receive() with promises': (source, seen) => source.use(new HandlerConsumer(source, () => Promise.resolve().then(seen))),
  };
  for (const [name, read] of Object.entries(readers)) {
    it(`${name}: others have a turn within a window of tiny messages, and all of them come`, async () => {
      const source = host();
      let seen = 0;
      read(source, () => seen++);
      // Several chunks of one turn count as one.
      for (let left = 20; left > 0; left--) source.arrive('\n'.repeat(1000));
      const others: number[] = [seen];
      while (seen < 20_000) {
        await turn();
        others.push(seen);
      }
      expect(others.length).to.be.within(8, 12);
      expect(Math.max(...others.map((count, at) => count - (others[at - 1] ?? 0)))).to.be.at.most(3 * 1024);
    });

    it(`${name}: a crowd takes no longer between turns than one`, async () => {
      const shared = new Turns(processRuntime);
      let seen = 0;
      for (let left = 50; left > 0; left--) {
        const source = new Host(attachedLines('accept'), shared);
        read(source, () => seen++);
        source.arrive('\n'.repeat(10_000));
      }
      // What each has before it rests for the first time is over.
      await turn();
      let most = 0;
      for (let before = seen; seen < 500_000; before = seen) {
        await turn();
        most = Math.max(most, seen - before);
      }
      expect(most).to.be.within(1000, 4096);
    });
  }
});

function streamHost<Message>(source: Host<Message>): StreamHost<Message> {
  return {
    core: source.core,
    settings: source.settings,
    settled: () => source.settled(),
    settleSoon: () => source.settleSoon(),
    applicationFailed: (error) => source.applicationFailed(error),
    released: () => source.released(),
    send: (message, lend) => source.core.send(message, lend),
    drained: () => Promise.resolve(),
    end: () => source.core.end(0),
    destroy: () => {},
  };
}
