import { htmlDocument } from '../../markup/document.js';
import { element, type Markup } from '../../markup/markup.js';
import type { AffinityResult } from '../result.js';
import { askedSection } from './asked.js';
import { distributionSection } from './distribution.js';
import { eventSections } from './events.js';
import { legend } from './legend.js';
import { linksSection } from './links.js';
import { Looks } from './looks.js';
import { matrixSection } from './matrix.js';
import { movesSection } from './moves.js';
import { STYLE } from './style.js';
import { timelineSection } from './timeline.js';
import { timeoutSection } from './timeout.js';
import { verdictSection } from './verdict.js';

/** A result as a page of HTML, in one file. It has no scripts and loads nothing. */
export function resultPage(result: AffinityResult): string {
  const looks = new Looks(result.backends);
  const { asked, timeout } = result;
  const picture = (title: string, content: readonly Markup[]) =>
    element('section', {}, element('h2', {}, title), legend(looks), ...content);
  const tables = [
    ...eventSections(result),
    movesSection(result, looks),
    ...(timeout === null ? [] : [timeoutSection(timeout)]),
    linksSection(result, looks),
  ];
  return htmlDocument(`Session affinity of ${asked.service ?? asked.address}`, STYLE, [
    verdictSection(result),
    element('div', { class: 'beside' }, askedSection(result), distributionSection(result, looks)),
    picture('Who answers whom', matrixSection(result, looks)),
    picture('Over time', timelineSection(result, looks)),
    element('div', { class: 'beside' }, ...tables),
  ]);
}
