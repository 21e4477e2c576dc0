// What the processes of the durable demo tell the stage over their IPC channels, and how.

import type { Account } from './account.ts';

export interface NodeReport {
  /** It listens there. */
  readonly port?: number;
  /** A session has begun that is not from the store. */
  readonly began?: true;
  readonly account?: Account;
  readonly broken?: string;
}

export interface ClientReport {
  /** Numbers sent so far. */
  readonly told?: number;
  readonly attached?: boolean;
  readonly account?: Account;
  /** Answers whose sum was not the client's own. */
  readonly wrong?: number;
  readonly over?: true;
  readonly broken?: string;
}

export const REPORT_MS = 100;

/** Tells the stage. A process ends with it, whatever it died of. */
export function reporter<Report extends object>(): (report: Report) => void {
  if (!process.connected) process.exit();
  process.once('disconnect', () => process.exit());
  return (report) => {
    if (process.connected) process.send?.(report, () => {});
  };
}
