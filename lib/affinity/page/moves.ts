import { element, type Markup } from '../../markup/markup.js';
import { seconds } from '../quantities.js';
import type { AffinityResult } from '../result.js';
import type { Looks } from './looks.js';
import { stageTitle } from './stagetitle.js';
import { type Cell, longTable } from './table.js';

/** All moves, in the order of time. A move is forced if the backend that was left answered nobody later. */
export function movesSection({ moves, stages }: AffinityResult, looks: Looks): Markup {
  const rows = moves.map(({ atMs, stage, client, port, from, to, fromAnswersLater }): Cell[] => [
    ...[seconds(atMs), stageTitle(stages, stage), client, port],
    ...[looks.named(from), looks.named(to), fromAnswersLater ? 'no' : 'yes'],
  ]);
  const titles = [{ number: 'At' }, 'When', 'Client', 'Port', 'From', 'To', 'Forced'];
  const content =
    rows.length === 0
      ? [element('p', {}, 'No link met another backend than before.')]
      : longTable(titles, rows, 'moves');
  return element('section', {}, element('h2', {}, 'Moves'), ...content);
}
