import { element, type Markup } from '../../markup/markup.js';
import type { AffinityResult, Outcome } from '../result.js';

const SIGNS: Readonly<Record<Outcome, { readonly sign: string; readonly name: string }>> = {
  'as expected': { sign: '✓', name: 'good' },
  'not as expected': { sign: '✗', name: 'bad' },
  'not measured': { sign: '?', name: 'open' },
};

/** The verdict in one sentence with its cause, and what else makes it so. */
export function verdictSection(result: AffinityResult): Markup {
  const { asked, verdict } = result;
  const [cause, ...others] = causesOf(result);
  const { sign, name } = SIGNS[verdict.outcome];
  const sentence = [
    element('span', { class: 'sign', 'aria-hidden': 'true' }, sign),
    element('span', {}, element('b', {}, claimOf(result)), cause === undefined ? '.' : `: ${asCause(cause)}`),
  ];
  return element(
    'header',
    {},
    element('h1', {}, 'Session affinity of ', element('bdi', {}, asked.service ?? asked.address)),
    element('p', { class: `verdict ${name}` }, ...sentence),
    ...(others.length === 0 ? [] : [element('ul', {}, ...others.map((each) => element('li', {}, each)))]),
  );
}

function claimOf({ asked: { expect }, verdict: { found, outcome } }: AffinityResult): string {
  if (outcome === 'not measured') return 'The affinity could not be measured';
  if (outcome === 'as expected') return `As expected, the affinity is ${found}`;
  if (found === expect) return `Not as expected, although the affinity is ${found}`;
  return `Not as expected, the affinity is ${found} instead of ${expect}`;
}

/** The reasons, the one that decides first. If the expected affinity was found, the last one decides. */
function causesOf({ asked, verdict: { found, outcome, reasons } }: AffinityResult): readonly string[] {
  const isFoundAnyway = found === asked.expect && outcome === 'not as expected';
  return isFoundAnyway ? reasons.toReversed() : reasons;
}

function asCause(sentence: string): string {
  return sentence.charAt(0).toLowerCase() + sentence.slice(1);
}
