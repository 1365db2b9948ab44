import { element, type Markup } from '../../markup/markup.js';
import type { AffinityResult, LinkResult } from '../result.js';
import type { Looks } from './looks.js';
import { type Cell, longTable } from './table.js';

/** Each client and port: who answered how often, and why there was no answer. */
export function linksSection({ links }: AffinityResult, looks: Looks): Markup {
  const rows = links.map(({ client, port, met, errors }): Cell[] => [
    ...[client, port, metBy(met, looks), countsText(errors)],
  ]);
  const titles = ['Client', 'Port', 'Answers', 'No answer'];
  return element('section', {}, element('h2', {}, 'All links'), ...longTable(titles, rows, 'links'));
}

function metBy(met: LinkResult['met'], looks: Looks): Cell {
  return Object.entries(met).flatMap(([backend, answers]) => [looks.named(backend), ` ${answers} `]);
}

function countsText(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .map(([reason, times]) => `${reason} ${times}`)
    .join(', ');
}
