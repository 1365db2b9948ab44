import type { Stage } from '../result.js';

/** What a stage is called on the page. Events count from 1. */
export function stageTitle(stages: readonly Stage[], index: number): string {
  const events = stages.slice(0, index + 1).filter(({ kind }) => kind === 'event').length;
  if (stages[index]?.kind === 'event') return `during event ${events}`;
  if (events > 0) return `after event ${events}`;
  return stages.some(({ kind }) => kind === 'event') ? 'before any event' : 'in all rounds';
}
