// What `outlast/testing` offers: re-exports only. Tools for tests, ours and those of users; nothing else in lib imports them.

export type { Cut, Direction, Plan, Side } from './testing/chaos-circuit.ts';
export { ChaosCircuit } from './testing/chaos-circuit.ts';
export type { ChaosProxyOptions, ChaosProxyStats, ChaosTarget } from './testing/chaos-proxy.ts';
export { ChaosProxy } from './testing/chaos-proxy.ts';
export type { HistoryRule, ReportedLoss, Violation } from './testing/history.ts';
export { History } from './testing/history.ts';
export { Random } from './testing/random.ts';
