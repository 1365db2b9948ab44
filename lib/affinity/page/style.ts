import { FONT, PAPER } from '../../markup/paper.js';
import { COLOUR_STYLE } from './looks.js';

/** Colours are data on this page, so that they are printed too. */
const BASE = `
:root { --good: #14773d; --bad: #b42318; --open: #8a5a00; --shade: #6670851f; }
@media (prefers-color-scheme: dark) {
  :root { --good: #5fd38d; --bad: #ff8f84; --open: #f0b95a; --shade: #97a1b02e; }
}
* { box-sizing: border-box; }
body { max-width: 1500px; margin: 1.5rem auto; padding: 0 1rem; background: var(--paper); color: var(--ink);
  font: 15px/1.45 ${FONT}; overflow-wrap: anywhere;
  print-color-adjust: exact; -webkit-print-color-adjust: exact; }
h1 { margin: 0; font-size: 1rem; font-weight: normal; color: var(--faint); }
h2 { margin: 2rem 0 0.4rem; font-size: 1.15rem; }
h3 { margin: 0.9rem 0 0.2rem; font-size: 0.95rem; }
h3::first-letter { text-transform: uppercase; }
h4 { margin: 0.5rem 0 0.2rem; font-size: 0.85rem; font-weight: normal; color: var(--faint); }
h4.split, h4.silent { color: var(--ink); font-weight: 600; }
p { margin: 0.3rem 0; }
code { font-size: 0.92em; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.15rem 1.2rem; margin: 0; }
dt { color: var(--faint); }
dd { margin: 0; }
details { margin: 0.4rem 0; }
summary { cursor: pointer; color: var(--faint); }
.faint { color: var(--faint); }
.beside { display: grid; gap: 0 3rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 34rem), 1fr)); }
.beside > * { min-width: 0; }
`;

const VERDICT = `
.verdict { display: flex; gap: 0.6rem; margin: 0.3rem 0; font-size: 1.3rem; line-height: 1.35; }
.verdict b, .sign { color: var(--colour); }
.sign { font-weight: 700; }
.good { --colour: var(--good); }
.bad { --colour: var(--bad); }
.open { --colour: var(--open); }
header ul { margin: 0.4rem 0; padding-left: 3rem; }
`;

const TABLES = `
.scroll { overflow-x: auto; }
table { border-collapse: collapse; min-width: min(100%, 34rem); font-size: 0.88rem; }
th, td { padding: 0.16rem 0.7rem 0.16rem 0; text-align: left; vertical-align: middle; white-space: nowrap;
  border-bottom: 1px solid var(--line); font-variant-numeric: tabular-nums; }
th { color: var(--faint); font-weight: normal; }
.number { text-align: right; }
td .named { display: inline-block; width: max-content; max-width: 14rem; white-space: normal; }
.bar { display: block; width: 5rem; height: 14px; }
.bar .plain { fill: var(--faint); }
.mark { stroke: var(--ink); stroke-width: 2px; vector-effect: non-scaling-stroke; }
`;

const MATRIX = `
.legend { display: flex; flex-wrap: wrap; gap: 0.2rem 1.2rem; margin: 0.3rem 0; padding: 0;
  list-style: none; }
.badge { display: inline-block; min-width: 1.25rem; padding: 0 0.2rem; border-radius: 3px;
  text-align: center; font-size: 0.8rem; line-height: 1.15rem; }
b.silent { color: var(--ink); outline: 1px dashed var(--faint); outline-offset: -1px; }
.client, .tiles { font: 12.5px/17px ui-monospace, 'DejaVu Sans Mono', monospace; }
.tiles { --cell: max(23px, var(--backends) * 13px); --tile: calc(var(--ports) * (var(--cell) + 4px) + 16px);
  display: grid; gap: 3px 20px; margin: 0; padding: 0; list-style: none;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, calc(var(--client) + var(--tile))), 1fr)); }
.tiles li { display: flex; flex-wrap: wrap; gap: 4px; align-items: center; padding-left: 5px;
  border-left: 3px solid transparent; }
.tiles.split li { border-color: var(--ink); }
.tiles.silent li { border-color: var(--bad); }
.tiles .client { min-width: var(--client); margin-right: 2px; }
.cell { display: flex; width: var(--cell); height: 17px; }
.cell b { flex: 1 1 13px; min-width: 0; text-align: center; font: 600 11px/17px ${FONT}; }
.cell b + b:not(:empty) { border-left: 1px solid var(--paper); }
`;

const TIMELINE = `
.timeline { display: grid; grid-template-columns: fit-content(40%) minmax(0, 1fr); gap: 5px 8px;
  align-items: center; }
.timeline svg { display: block; width: 100%; overflow: visible; }
.timeline text { font: 11px ${FONT}; fill: var(--ink); }
.during { fill: var(--shade); }
.hole { fill: var(--paper); }
.line { fill: var(--bad); }
.edge, .move, .tick { stroke: var(--ink); stroke-width: 1px; vector-effect: non-scaling-stroke; }
.edge { stroke: var(--faint); stroke-dasharray: 2 2; }
.move { stroke-width: 2px; }
.events { margin: 0.3rem 0; padding-left: 1.6rem; }
`;

const PHONE_AND_PRINT = `
@media (max-width: 40rem) {
  body { padding: 0 0.6rem; }
  .verdict { font-size: 1.1rem; }
  .bar { width: 2.5rem; }
  td .named { max-width: 7rem; }
  th, td { padding-right: 0.4rem; }
  table { font-size: 0.8rem; }
  header ul { padding-left: 1.6rem; }
}
@media print {
  body { max-width: none; }
  details::details-content { content-visibility: visible; block-size: auto; }
  summary { list-style: none; }
  tr, .tiles li, .timeline > * { break-inside: avoid; }
  h2, h3, h4 { break-after: avoid; }
}
`;

/** CSS of the page. */
export const STYLE = [PAPER, BASE, VERDICT, TABLES, MATRIX, TIMELINE, PHONE_AND_PRINT, COLOUR_STYLE].join('');
