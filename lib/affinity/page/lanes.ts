import { element, type Markup } from '../../markup/markup.js';
import { seconds } from '../quantities.js';
import type { EventStage, Gap, Move, Run } from '../result.js';
import { commandTime } from './commandtime.js';
import type { ClientCourse, MarkedLink } from './courses.js';
import type { Looks } from './looks.js';
import { TIMELINE_WIDTH, type TimeScale } from './timescale.js';

/** Sizes are pixels. All lanes of a client are as high as a line of text at least. */
const LANE_HEIGHT = 6;
const LEAST_HEIGHT = 16;
const SPACE = 1;
/** Width of a run that took no time, in the units of the scale. */
const LEAST_WIDTH = 2;
/** A lane with more moves has no marks: they would hide its colours. */
const MOST_MARKS = 8;

/** What all lanes are drawn with. */
export interface Canvas {
  readonly events: readonly EventStage[];
  readonly scale: TimeScale;
  readonly looks: Looks;
}

/** The course of a client over time: a lane for each port. */
export function lanes({ client, links }: ClientCourse, canvas: Canvas): Markup {
  const laneHeight = Math.max(LANE_HEIGHT, Math.floor(LEAST_HEIGHT / links.length));
  const height = links.length * laneHeight;
  const pictures = links.flatMap((link, index) =>
    lane(link, { y: index * laneHeight, height: laneHeight - SPACE }, canvas),
  );
  const box = {
    viewBox: `0 0 ${TIMELINE_WIDTH} ${height}`,
    height,
    preserveAspectRatio: 'none',
    role: 'img',
    'aria-label': client,
  };
  const { events, scale } = canvas;
  return element('svg', box, ...events.flatMap((event) => commandTime(event, height, scale)), ...pictures);
}

/** Where a lane is, from top to bottom. */
interface Place {
  readonly y: number;
  readonly height: number;
}

function lane({ link, moves, gaps }: MarkedLink, place: Place, { scale, looks }: Canvas): Markup[] {
  const { port, runs } = link;
  const untilNext = runs.map((run, index) => ({ ...run, toMs: runs[index + 1]?.fromMs ?? run.toMs }));
  return [
    ...untilNext.map((run) => runPicture(port, run, place, scale, looks)),
    ...gaps.map((gap) => gapPicture(gap, place, scale)),
    ...(moves.length > MOST_MARKS ? [] : moves.map((move) => moveMark(move, place, scale))),
  ];
}

/** @param run until the next one */
function runPicture(port: string, run: Run, place: Place, scale: TimeScale, looks: Looks): Markup {
  const { backend, fromMs, toMs, questions } = run;
  const x = scale.x(fromMs);
  const width = Math.max(LEAST_WIDTH, scale.x(toMs) - x);
  const name = backend ?? 'no answer';
  const title = `${port}: ${name}, ${seconds(fromMs)} to ${seconds(toMs)}, questions: ${questions}`;
  if (backend === null) return silence(x, width, place, title);
  const box = { x, width, ...place, class: looks.of(backend).colour };
  return element('rect', box, element('title', {}, title));
}

function gapPicture({ port, atMs, longestMs, ended }: Gap, place: Place, scale: TimeScale): Markup {
  const x = scale.x(atMs);
  const title = `${port}: ${Math.round(longestMs)} ms without an answer${ended ? '' : ', and none since'}`;
  return silence(x, scale.x(atMs + longestMs) - x, place, title);
}

/** A hole in a lane, with a thin line in it. */
function silence(x: number, width: number, { y, height }: Place, title: string): Markup {
  const line = { x, y: y + height / 2 - 0.5, width, height: 1, class: 'line' };
  const hole = element('rect', { x, y, width, height, class: 'hole' });
  return element('g', {}, element('title', {}, title), hole, element('rect', line));
}

function moveMark({ port, atMs, from, to }: Move, { y, height }: Place, scale: TimeScale): Markup {
  const x = scale.x(atMs);
  const title = element('title', {}, `${port}: from ${from} to ${to} at ${seconds(atMs)}`);
  return element('line', { x1: x, x2: x, y1: y, y2: y + height, class: 'move' }, title);
}
