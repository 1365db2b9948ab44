import { element, type Markup } from '../../markup/markup.js';
import { decimal } from '../quantities.js';
import type { AffinityResult, RoundsStage, Share } from '../result.js';
import { bar } from './bar.js';
import type { Looks } from './looks.js';
import { stageTitle } from './stagetitle.js';
import { type Cell, type Column, table } from './table.js';

/** Columns without a title have bars. */
const COLUMNS: readonly Column[] = [
  'Backend',
  ...[{ number: 'Clients' }, '', { number: 'Even' }],
  ...[{ number: 'Answers' }, '', { number: 'Even' }],
];

/** How clients and answers are distributed over backends, beside the even distribution. */
export function distributionSection({ stages }: AffinityResult, looks: Looks): Markup {
  const parts = stages.flatMap((stage, index) =>
    stage.kind === 'rounds' ? distribution(stage, stageTitle(stages, index), looks) : [],
  );
  return element('section', {}, element('h2', {}, 'Distribution over backends'), ...parts);
}

function distribution({ distribution: shares }: RoundsStage, title: string, looks: Looks): Markup[] {
  const heading = element('h3', {}, title);
  if (shares.length === 0) return [heading, element('p', {}, 'Nobody answered.')];
  const rows = shares.map((share): Cell[] => [
    looks.named(share.backend),
    ...shareCells(share, 'clients', 'evenClients', shares, looks),
    ...shareCells(share, 'answers', 'evenAnswers', shares, looks),
  ]);
  return [heading, table(COLUMNS, rows)];
}

function shareCells(
  share: Share,
  name: 'clients' | 'answers',
  evenName: 'evenClients' | 'evenAnswers',
  all: readonly Share[],
  looks: Looks,
): Cell[] {
  const [value, even] = [share[name], share[evenName]];
  const most = Math.max(even, ...all.map((each) => each[name]));
  const { colour } = looks.of(share.backend);
  return [decimal(value), bar(value, most, { even, colour }), decimal(even)];
}
