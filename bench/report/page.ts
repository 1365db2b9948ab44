import { htmlDocument, styleElement } from '../../lib/markup/document.js';
import { element } from '../../lib/markup/markup.js';
import { FONT } from '../../lib/markup/paper.js';
import type { Contender } from '../contenders/contender.js';
import type { Row } from '../rows/row.js';
import type { Summary } from '../summary.js';
import { overviewPlot } from './overview-plot.js';
import { rowPlot } from './row-plot.js';
import { STYLE } from './style.js';

const PAGE_STYLE = `
body { max-width: 1280px; margin: 2.5rem auto; padding: 0 1.2rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 ${FONT}; }
h1 { font-size: 1.7rem; margin-bottom: 0.2rem; } h2 { font-size: 1.05rem; margin: 2.2rem 0 0.3rem; }
p { color: var(--faint); max-width: 52rem; } svg { max-width: 100%; height: auto; }
`;

const EXPLANATION = `Client, proxy and server share the cores, so a proxy's own cost slows down the load too: look at CPU
seconds beside the rates. Bars are medians over the rounds, whiskers the lowest and highest round. The columns × kernel,
× masquerade, × best peer, × kube-proxy and × ancestor compare a figure with that of kernel DNAT, of kernel DNAT with
MASQUERADE, of the better one of nginx and HAProxy, of the better mode of the present kube-proxy, and of kube-proxy's old
userspace mode. The direct path shows what the load generator can ask for. kube-portal is there with the kernel as the carrier
of the bytes, and with its relay.`;

/** A page with all results. It has no scripts and loads nothing. */
export function page(
  machine: string,
  summaries: readonly Summary[],
  rows: readonly Row[],
  contenders: readonly Contender[],
): string {
  const sections = rows
    .filter(({ id }) => summaries.some(({ row }) => row === id))
    .map((row) => element('section', {}, element('h2', {}, row.title), rowPlot(row, summaries, contenders)));
  const body = [
    element('h1', {}, 'kube-portal beside its peers'),
    element('p', {}, machine),
    element('p', {}, EXPLANATION),
    element('h2', {}, 'Rates as a share of the kernel’s'),
    overviewPlot(summaries, rows, contenders),
    ...sections,
  ];
  return htmlDocument('kube-portal bench', `${STYLE}${PAGE_STYLE}`, body);
}

/** The overview as a picture. */
export function picture(
  summaries: readonly Summary[],
  rows: readonly Row[],
  contenders: readonly Contender[],
): string {
  const paper = element('rect', { width: '100%', height: '100%', rx: 6, class: 'paper' });
  return `${overviewPlot(summaries, rows, contenders, styleElement(STYLE), paper)}\n`;
}
