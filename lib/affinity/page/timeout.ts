import { element, type Markup } from '../../markup/markup.js';
import { seconds } from '../quantities.js';
import type { Timeout } from '../result.js';
import { bar } from './bar.js';
import { type Cell, table } from './table.js';

/** The measured time-out of the affinity, and the pauses that were tried, the shortest first. */
export function timeoutSection(timeout: Timeout): Markup {
  const rows = timeout.trials
    .toSorted((one, other) => one.pauseMs - other.pauseMs)
    .map(({ pauseMs, clients, moved }): Cell[] => [
      ...[seconds(pauseMs), String(clients), String(moved), bar(moved, clients)],
    ]);
  return element(
    'section',
    {},
    element('h2', {}, `Time-out at ${timeout.port}`),
    element('p', {}, element('b', {}, measuredText(timeout))),
    table(
      [{ number: 'Pause' }, { number: 'Clients asked again' }, { number: 'Met another backend' }, ''],
      rows,
    ),
  );
}

function measuredText({ keptMs, movedMs }: Timeout): string {
  if (movedMs === null) return `An idle client keeps its backend for longer than ${seconds(keptMs)}.`;
  if (keptMs === 0) return `An idle client keeps its backend for less than ${seconds(movedMs)}.`;
  return `An idle client loses its backend after ${seconds(keptMs)} to ${seconds(movedMs)}.`;
}
