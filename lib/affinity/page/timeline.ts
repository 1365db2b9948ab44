import { element, type Markup } from '../../markup/markup.js';
import { seconds } from '../quantities.js';
import type { AffinityResult, EventStage } from '../result.js';
import { axis } from './axis.js';
import { clientCourses } from './courses.js';
import { lanes } from './lanes.js';
import type { Looks } from './looks.js';
import { folded } from './table.js';
import { TimeScale } from './timescale.js';

/** Clients that are shown at once. The others can be unfolded. */
const CLIENTS_AT_ONCE = 80;

/** A row for each client, over time. Clients to which something happened come first. */
export function timelineSection(result: AffinityResult, looks: Looks): Markup[] {
  const { stages } = result;
  const scale = new TimeScale(stages);
  const events = stages.filter((stage) => stage.kind === 'event');
  const rows = clientCourses(result).map((course) => [
    element('span', { class: 'client' }, course.client),
    lanes(course, { events, scale, looks }),
  ]);
  const timeline = (some: readonly Markup[][]) =>
    element('div', { class: 'timeline' }, element('span', {}), axis(events, scale), ...some.flat());
  const others = rows.slice(CLIENTS_AT_ONCE);
  return [
    ...explanation(result, events),
    timeline(rows.slice(0, CLIENTS_AT_ONCE)),
    ...(others.length === 0 ? [] : [folded(`${others.length} more clients`, timeline(others))]),
  ];
}

function explanation({ asked }: AffinityResult, events: readonly EventStage[]): Markup[] {
  const ports = asked.ports.map(({ port }) => port).join(', ');
  const text =
    `A row is a client. Its lanes are its ports, from top to bottom: ${ports}. A hole with a line is time ` +
    'without an answer. A stroke is a move to another backend. Times count from the start of the run.';
  const commands = events.map(({ command, commandStartMs, commandEndMs }) =>
    element(
      'li',
      {},
      element('code', {}, command),
      ` ran from ${seconds(commandStartMs)} to ${seconds(commandEndMs)}, in the shaded time`,
    ),
  );
  const list = commands.length === 0 ? [] : [element('ol', { class: 'events' }, ...commands)];
  return [element('p', { class: 'faint' }, text), ...list];
}
