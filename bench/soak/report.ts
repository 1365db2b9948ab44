import { table } from '../../lib/cli/table.js';
import { numberText } from '../report/numbertext.js';
import type { Usage } from './usage.js';
import type { KindResult } from './verdict.js';

export interface SoakResult {
  readonly carrier: string;
  readonly seconds: number;
  readonly clients: readonly KindResult[];
  readonly usages: readonly Usage[];
  /** What is left on the node after `--cleanup`: rules, chains and addresses, and entries with its mark. */
  readonly leftovers: readonly string[];
}

/** Errors that are shown of each kind of clients. The JSON has all. */
const SHOWN_ERRORS = 10;
/** A process is as large as it gets after this time, s. */
const WARM_SECONDS = 30;

export function countErrors({ clients }: SoakResult): number {
  return clients.reduce((sum, { errors }) => sum + errors.length, 0);
}

export function reportText(result: SoakResult): string {
  const { carrier, seconds, clients, usages, leftovers } = result;
  return [
    `carrier ${carrier}, ${seconds} s\n`,
    table(
      ['CLIENTS', 'DONE', 'ASKED AGAIN', 'EXPLAINED', 'ERRORS'],
      clients.map(({ kind, done, askedAgain, explained, errors }) =>
        [kind, done, askedAgain, explained, errors.length].map(String),
      ),
    ),
    table(['PROCESS', 'SECONDS', 'MEMORY MiB', 'DESCRIPTORS', 'ENTRIES', 'RULES'], processRows(usages)),
    clients
      .flatMap(({ kind, errors }) => errors.slice(0, SHOWN_ERRORS).map((error) => errorLine(kind, error)))
      .join(''),
    leftovers.length === 0 ? 'nothing is left\n' : `left: ${leftovers.join('\n')}\n`,
  ].join('\n');
}

const errorLine = (kind: string, { at, target, reason }: KindResult['errors'][number]) =>
  `${new Date(at).toISOString()} ${kind} ${target}: ${reason}\n`;

/** A row for each process. Figures are: when it was warm → at its end (highest). */
function processRows(usages: readonly Usage[]): string[][] {
  return [...new Set(usages.map(({ process }) => process))].map((process) => {
    const own = usages.filter((usage) => usage.process === process);
    const began = Math.min(...own.map(({ second }) => second));
    const warm = own.find(({ second }) => second >= began + WARM_SECONDS) ?? own[0];
    const last = own.at(-1);
    const cell = (field: 'memory' | 'descriptors' | 'entries' | 'rules') => {
      const highest = Math.max(...own.map((usage) => usage[field]));
      return `${numberText(warm?.[field] ?? 0)} → ${numberText(last?.[field] ?? 0)} (${numberText(highest)})`;
    };
    const lived = `${began} - ${last?.second}`;
    return [`${process}`, lived, cell('memory'), cell('descriptors'), cell('entries'), cell('rules')];
  });
}
