// Incidents: what a session meets seldom, and most only at their end: faults of a circuit, notices for the shell, and what was said about
// the end. Kept from the first one on: a session that goes its way has none of this.
import type { SessionError } from '../errors.ts';
import type { DrainNotice } from './control.ts';
import type { CloseCode } from './wire.ts';

/** This many protocol errors in a row, with no byte of progress between, end the session. */
const FAULTS_MAX = 3;

export class Incidents {
  // -- of the circuit
  /** Why it must go. The session stays. */
  fault: SessionError | null = null;
  /** A DRAIN came and has not been looked at. */
  drainNotice: DrainNotice | null = null;
  /** Generation named by SUPERSEDED; -1 when none came. */
  supersededBy = -1;
  // -- of the end
  cause: SessionError | undefined;
  /** The peer's CLOSE has been read: nothing more will come, and the circuit may be ended. */
  peerClosed = false;
  /** Of the CLOSE that ended the session, where it was the peer's. */
  peerCode: CloseCode | undefined;
  /** The peer throws away what it has not consumed: nothing more will be acked. */
  peerDiscards = false;
  /** The peer was told the same. */
  discardTold = false;
  /** The bytes acked are exact: the peer said so in a CLOSE or an authenticated final number. */
  finalsExact = false;
  #faults = 0;
  #progress = -1;

  /** A new circuit begins: what was said on the old one is over. */
  circuitUp(): void {
    this.fault = null;
    this.noticesSeen();
  }

  get noticed(): boolean {
    return this.drainNotice !== null || this.supersededBy >= 0;
  }

  /** The shell has looked at DRAIN and SUPERSEDED. */
  noticesSeen(): void {
    this.drainNotice = null;
    this.supersededBy = -1;
  }

  /** The circuit broke a rule. @param progress grows with every byte that went through @returns whether the session must end */
  broken(fault: SessionError, progress: number): boolean {
    this.fault = fault;
    this.#faults = progress === this.#progress ? this.#faults + 1 : 1;
    this.#progress = progress;
    return this.#faults >= FAULTS_MAX;
  }
}

/** Of most sessions. */
export const NO_INCIDENTS: Readonly<Incidents> = Object.freeze(new Incidents());
