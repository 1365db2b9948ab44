import { element, type Markup } from '../../markup/markup.js';
import type { EventStage } from '../result.js';
import type { TimeScale } from './timescale.js';

/** The time in which a command ran: a shade between two lines. @param height of the picture, pixels */
export function commandTime(event: EventStage, height: number, scale: TimeScale): Markup[] {
  const [x1, x2] = [scale.x(event.commandStartMs), scale.x(event.commandEndMs)];
  const end = (x: number) => element('line', { x1: x, x2: x, y1: 0, y2: height, class: 'edge' });
  return [element('rect', { x: x1, y: 0, width: x2 - x1, height, class: 'during' }), end(x1), end(x2)];
}
