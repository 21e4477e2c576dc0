// The public surface of `outlast`. Re-exports only: nothing inside lib imports this file.

export type { Broadcast, BroadcastOptions } from './broadcast.ts';
export type { CircuitInfo } from './circuit.ts';
export { type OpenOptions, type RetryNotice, SessionClient, type SessionClientEvents } from './client.ts';
export { type Blame, type Loss, SessionError, type SessionErrorCode, sessionErrorCodes } from './errors.ts';
export type { ByteWriter, Decoder, Encoder, Framing, FramingLimits, RangeSink, Sendable, TextEncoding } from './framing/framing.ts';
export {
  type Address,
  type Hello,
  type Limits,
  type ProxyProtocolOptions,
  type RestoredSession,
  type ResumeRequest,
  type SessionClientOptions,
  type SessionServerOptions,
  type SharedOptions,
  sameOrigin,
  type TicketRing,
  type Verdict,
} from './options.ts';
export type { Alarm, Runtime } from './runtime.ts';
export { type DrainOptions, type ListenOptions, SessionServer, type SessionServerEvents } from './server.ts';
export {
  type CloseOptions,
  type CommitOptions,
  type SendOptions,
  Session,
  type SessionEvents,
  type SessionState,
  type SessionStats,
} from './session.ts';
export type {
  Claim,
  ClaimRequest,
  ClaimResult,
  CreateResult,
  Creation,
  Found,
  Store,
  StoredHead,
  StoredRecord,
  StoreNumbers,
  TicketMark,
  TicketRegister,
  Write,
  WriteResult,
} from './stores/store.ts';
export type { Abortable } from './waiters.ts';
