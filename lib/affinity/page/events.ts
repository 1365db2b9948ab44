import { element, type Markup } from '../../markup/markup.js';
import { type EventEffects, effectsOf } from '../eventeffects.js';
import { seconds } from '../quantities.js';
import type { AffinityResult, EventStage, Gap } from '../result.js';
import { bar } from './bar.js';
import { type Cell, type Column, longTable } from './table.js';

/** The column without a title has bars. */
const GAP_COLUMNS: readonly Column[] = [
  ...['Client', 'Port', { number: 'Gap, ms' }, ''],
  ...[{ number: 'From' }, 'Ended', { number: 'No answer' }],
];

/** For each event: how it ended, what moved, and the longest gaps. Empty if there were none. */
export function eventSections(result: AffinityResult): Markup[] {
  const { stages, moves, asked } = result;
  const events = stages.flatMap((stage, index) => (stage.kind === 'event' ? [{ stage, index }] : []));
  return events.map(({ stage, index }, number) => {
    const effects = effectsOf(
      stage,
      moves.filter((move) => move.stage === index),
    );
    return element(
      'section',
      {},
      element('h2', {}, `Event ${number + 1}: `, element('code', {}, stage.command)),
      element('p', {}, courseText(stage)),
      element('p', {}, effectsText(effects, stage, asked.clients.length)),
      ...gapTable(effects.longestFirst),
    );
  });
}

function courseText({ commandStartMs, commandEndMs, exitCode }: EventStage): string {
  const end = exitCode === null ? 'was ended by a signal' : `ended with exit code ${exitCode}`;
  return `The command ran for ${seconds(commandEndMs - commandStartMs)} and ${end}.`;
}

function effectsText(effects: EventEffects, { intervalMs }: EventStage, clients: number): string {
  const { movedClients, needlessClients, longestFirst, medianGapMs } = effects;
  const longest = Math.round(longestFirst[0]?.longestMs ?? 0);
  return (
    `${movedClients} of ${clients} clients moved, ${needlessClients} of them away from a backend that went ` +
    `on answering. Longest time between two answers of a link: ${longest} ms at most, ` +
    `${Math.round(medianGapMs)} ms in the median. ` +
    `Links were asked every ${intervalMs} ms, so shorter gaps cannot be seen.`
  );
}

function gapTable(longestFirst: readonly Gap[]): Markup[] {
  const most = longestFirst[0]?.longestMs ?? 0;
  const rows = longestFirst.map(({ client, port, longestMs, atMs, ended, unanswered }): Cell[] => [
    ...[client, port, String(Math.round(longestMs)), bar(longestMs, most)],
    ...[seconds(atMs), ended ? 'yes' : 'no', String(unanswered)],
  ]);
  return longTable(GAP_COLUMNS, rows, 'links');
}
