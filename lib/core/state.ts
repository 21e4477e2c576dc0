// The life of a session as data: states, inputs, and the one table of what may follow what.
// SessionCore changes its state only through next(); PROTOCOL.md and docs/architecture.md draw their diagrams from this table.

/**
 * attached: a circuit carries the session. detached: none does, and the session waits for the next.
 * finishing: this dialing side is done and waits for the peer's CLOSE. lingering: the same without a circuit.
 * closed: ended, for whatever cause.
 */
export type CoreState = 'detached' | 'attached' | 'finishing' | 'lingering' | 'closed';

/** circuitUp: a handshake passed. circuitLost: the circuit is gone. done: both ENDs are acked, and CLOSE is due. ended: it is over. */
export type CoreInput = 'circuitUp' | 'circuitLost' | 'done' | 'ended';

const table: Readonly<Record<CoreState, Partial<Record<CoreInput, CoreState>>>> = {
  detached: { circuitUp: 'attached', done: 'lingering', ended: 'closed' },
  // circuitUp while attached: a newer circuit replaces the one that is still thought to be alive.
  attached: { circuitUp: 'attached', circuitLost: 'detached', done: 'finishing', ended: 'closed' },
  finishing: { circuitUp: 'finishing', circuitLost: 'lingering', ended: 'closed' },
  lingering: { circuitUp: 'finishing', ended: 'closed' },
  closed: {},
};

/** The state that follows, or undefined where the table has no such step: that is a bug of the caller. */
export function next(state: CoreState, input: CoreInput): CoreState | undefined {
  return table[state][input];
}

export const coreStates: readonly CoreState[] = Object.keys(table) as CoreState[];
export const coreInputs: readonly CoreInput[] = ['circuitUp', 'circuitLost', 'done', 'ended'];
