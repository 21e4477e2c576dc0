// The line that the demo of cuts shows: both lanes as they are now.

import type { Lane } from './lane.ts';

export function lineOf(lanes: readonly Lane[], elapsedMs: number, wide: boolean): string {
  const nowMs = performance.now();
  const sum = (count: (lane: Lane) => number): number => lanes.reduce((total, lane) => total + count(lane), 0);
  const gapMs = Math.max(...lanes.map((lane) => lane.received.longestGapMs(nowMs)));
  const rttMs = Math.max(0, ...lanes.map((lane) => lane.rttMs).filter((ms) => !Number.isNaN(ms)));
  const light = (lane: Lane): string => (lane.attached ? '●' : '○');
  return [
    `${(elapsedMs / 1000).toFixed(1).padStart(4)} s`,
    ...(wide
      ? lanes.map((lane) => `${light(lane)} ${lane.options.name} ${lane.sent.count} sent ${lane.received.count} received`)
      : [`${lanes.map(light).join('')} ${sum((lane) => lane.sent.count)} sent ${sum((lane) => lane.received.count)} received`]),
    `${wide ? 'duplicates' : 'dup'} ${sum((lane) => lane.received.duplicates)}`,
    `lost ${sum((lane) => lane.received.lost)}`,
    `cuts ${sum((lane) => lane.proxy.stats.cuts)}`,
    `resumes ${sum((lane) => lane.resumes)}`,
    `${wide ? 'longest ' : ''}gap ${(gapMs / 1000).toFixed(1)} s`,
    `RTT ${rttMs.toFixed(0)} ms`,
  ].join(wide ? '  ' : ' ');
}
