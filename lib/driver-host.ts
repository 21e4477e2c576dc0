// The two that a driver tells what happens: the side that dials or accepts, and the application.
import type { CircuitInfo } from './circuit.ts';
import type { SessionError } from './errors.ts';

/** The side that dials or accepts: told what happens to its session. */
export interface SessionHost<Driver> {
  /** The circuit is gone, the session lives. */
  detached(driver: Driver, cause: SessionError): void;
  /** The core has something to say: a DRAIN, a SUPERSEDED, or the peer's CLOSE behind the end. */
  noticed(driver: Driver): void;
  /** The session is over for its application; its last frames may still be on their way. */
  ended(driver: Driver, cause: SessionError | undefined): void;
}

/** The public face: what the driver tells the application. */
export interface Face {
  readonly id: string;
  emit(name: 'attached', circuit: CircuitInfo): boolean;
  emit(name: 'detached' | 'close', cause: SessionError | undefined): boolean;
  emit(name: 'drain'): boolean;
  emit(name: 'draining', notice: { readonly deadlineMs: number; readonly move: boolean }): boolean;
}
