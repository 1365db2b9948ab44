import { element, type Markup } from '../../markup/markup.js';
import type { EventStage } from '../result.js';
import { commandTime } from './commandtime.js';
import { TIMELINE_WIDTH, type TimeScale } from './timescale.js';

/** Sizes are pixels. */
const HEIGHT = 30;
const TICK_HEIGHT = 4;
/** Baselines of the numbers of events, and of the times. */
const NUMBER_Y = 11;
const TIME_Y = HEIGHT - 6;

/** Times, and the numbers of the events. Texts do not stretch, so their places are percentages. */
export function axis(events: readonly EventStage[], scale: TimeScale): Markup {
  const text = (ms: number, y: number, content: string) =>
    element('text', { x: percent(ms, scale), y, 'text-anchor': anchor(ms, scale) }, content);
  const tick = (ms: number) => {
    const x = percent(ms, scale);
    return element('line', { x1: x, x2: x, y1: HEIGHT - TICK_HEIGHT, y2: HEIGHT, class: 'tick' });
  };
  const ticks = scale.ticks();
  const stretched = {
    viewBox: `0 0 ${TIMELINE_WIDTH} ${HEIGHT}`,
    preserveAspectRatio: 'none',
    height: HEIGHT,
  };
  return element(
    'svg',
    { height: HEIGHT, role: 'img', 'aria-label': 'seconds since the start of the run' },
    element('svg', stretched, ...events.flatMap((event) => commandTime(event, HEIGHT, scale))),
    ...ticks.map(tick),
    ...ticks.map((ms) => text(ms, TIME_Y, `${Number((ms / 1000).toFixed(3))} s`)),
    ...events.map(({ commandStartMs, commandEndMs }, index) =>
      text((commandStartMs + commandEndMs) / 2, NUMBER_Y, String(index + 1)),
    ),
  );
}

function percent(ms: number, scale: TimeScale): string {
  return `${((scale.x(ms) / TIMELINE_WIDTH) * 100).toFixed(2)}%`;
}

/** Texts at the ends stay inside. */
function anchor(ms: number, scale: TimeScale): string {
  const place = scale.x(ms) / TIMELINE_WIDTH;
  if (place < 0.05) return 'start';
  return place > 0.95 ? 'end' : 'middle';
}
