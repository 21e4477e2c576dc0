// One terminal that shows a session. In: the program's output. Out: the same to its connection, as fast as that takes it. A terminal that
// cannot follow does not get everything late: what waits is dropped and the screen is painted anew, as it is then.

import type { WindowSize } from '../subnegotiation.ts';
import type { TelnetConnection } from './connection.ts';
import type { PtyExit } from './pty.ts';
import type { Painting, Screen } from './screen.ts';

/** A writer types, a watcher looks. */
export type Role = 'writer' | 'watcher';

/** Why a viewer is no viewer any more. */
export type Over = { readonly kind: 'ended'; readonly exit: PtyExit } | { readonly kind: 'taken'; readonly by: string };

export interface ViewerEvents {
  /** It no longer holds the program up. */
  readonly onRoom: () => void;
  /** The session ended, or somebody else took it. */
  readonly onOver: (why: Over) => void;
}

/** Output that waits beyond this holds the program up, for a writer. */
const HOLD_UP_BYTES = 65_536;
/** Beyond this a watcher is painted anew. */
const WATCHER_BYTES = 262_144;
/** A person who types ^C does not want to see what would still come. Less than this is shown anyway. */
const WORTH_DROPPING_BYTES = 4_096;
/** Of a painted screen, so that a slow terminal gets it bit by bit. */
const PIECE_BYTES = 16_384;

/** 'live': output passes. 'painting': a snapshot is being made, output waits behind it. 'lagging': output is not kept. */
type State = 'live' | 'painting' | 'lagging';

export class Viewer {
  readonly connection: TelnetConnection;
  readonly role: Role;
  readonly #screen: Screen;
  readonly #holdUpMs: number;
  readonly #events: ViewerEvents;
  readonly #queue: Buffer[] = [];
  #queueBytes = 0;
  #state: State = 'lagging';
  #writable = true;
  #paintings = 0;
  #held: NodeJS.Timeout | null = null;
  #closed = false;
  size: WindowSize;
  /** Grows with whatever its user does: the size of the one that did something last is the session's. */
  activity = 0;

  /** @param holdUpMs a writer holds the program up this long, and is then painted anew when it takes something again */
  constructor(connection: TelnetConnection, role: Role, screen: Screen, holdUpMs: number, events: ViewerEvents) {
    this.connection = connection;
    this.role = role;
    this.size = connection.size;
    this.#screen = screen;
    this.#holdUpMs = holdUpMs;
    this.#events = events;
  }

  /** The program is to wait for this terminal. */
  get holdsUp(): boolean {
    return this.role === 'writer' && this.#state !== 'lagging' && this.#queueBytes > HOLD_UP_BYTES;
  }

  /** Of a session that has shown nothing yet: what comes is the screen. */
  begin(): void {
    this.#state = 'live';
  }

  output(bytes: Buffer): void {
    if (this.#state === 'lagging' || this.#closed) return;
    this.#queue.push(bytes);
    this.#queueBytes += bytes.length;
    this.#pump();
    if (this.role === 'watcher' && this.#queueBytes > WATCHER_BYTES) this.#lag();
    else if (this.holdsUp && this.#held === null) this.#held = setTimeout(() => this.#lag(), this.#holdUpMs);
  }

  /** The connection has room again. */
  drained(): void {
    this.#writable = true;
    if (this.#state === 'lagging') this.repaint();
    else this.#pump();
  }

  /** Drops what waits where that is worth it, and shows how it ends. */
  skip(): void {
    if (this.#queueBytes >= WORTH_DROPPING_BYTES) this.repaint();
  }

  /** Drops what waits, and paints the screen. */
  repaint(): void {
    if (this.#closed) return;
    this.#clear();
    this.#state = 'painting';
    const turn = ++this.#paintings;
    const painting: Painting = this.connection.negotiates ? 'terminal' : 'text';
    this.#screen.snapshot(painting, this.size, (bytes) => {
      // An older one lacks what was dropped since it was asked for.
      if (this.#state !== 'painting' || turn !== this.#paintings || this.#closed) return;
      this.#state = 'live';
      const pieces = Array.from({ length: Math.ceil(bytes.length / PIECE_BYTES) }, (_, index) =>
        bytes.subarray(index * PIECE_BYTES, (index + 1) * PIECE_BYTES),
      );
      this.#queue.unshift(...pieces);
      this.#queueBytes += bytes.length;
      this.#pump();
    });
  }

  close(): void {
    this.#closed = true;
    this.#clear();
  }

  /** Writes out what waits, whatever the connection says: nothing comes behind. */
  finish(why: Over): void {
    for (const bytes of this.#queue) this.connection.write(bytes);
    this.close();
    this.#events.onOver(why);
  }

  #pump(): void {
    while (this.#state === 'live' && this.#writable) {
      const bytes = this.#queue.shift();
      if (bytes === undefined) break;
      this.#queueBytes -= bytes.length;
      this.#writable = this.connection.write(bytes);
    }
    if (this.#queueBytes <= HOLD_UP_BYTES) this.#release();
  }

  /** Drops what waits. When the connection has room again, which here may be now, the screen is painted. */
  #lag(): void {
    if (this.#writable) return this.repaint();
    this.#clear();
    this.#state = 'lagging';
  }

  #clear(): void {
    this.#queue.length = 0;
    this.#queueBytes = 0;
    this.#release();
  }

  #release(): void {
    if (this.#held === null) return;
    clearTimeout(this.#held);
    this.#held = null;
    this.#events.onRoom();
  }
}
