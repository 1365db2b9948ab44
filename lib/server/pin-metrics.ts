import type { PinCounts } from '../dataplane/shared/pins.js';
import { labelsText } from './labels.js';

/**
 * The pins of session affinity in the text format of Prometheus, in small pieces. Only endpoints that have
 * pins have a series, so there are never more series than pins.
 *
 * @param max see `--max-pins`
 */
export function* pinMetricsText(pins: PinCounts, max: number): Iterable<string> {
  yield heading('kubeportal_affinity_pins', 'gauge', 'Clients that are pinned to an endpoint.');
  for (const { service: key, endpoint, pins: count } of pins.counts()) {
    const [namespace = '', service = ''] = key.split('/', 2);
    yield `kubeportal_affinity_pins${labelsText({ namespace, service, endpoint })} ${count}\n`;
  }
  yield heading('kubeportal_affinity_pins_held', 'gauge', 'Pins in memory, with those to removed endpoints.');
  yield `kubeportal_affinity_pins_held ${pins.total}\n`;
  yield heading('kubeportal_affinity_pins_max', 'gauge', 'Limit of pins, see --max-pins.');
  yield `kubeportal_affinity_pins_max ${max}\n`;
  yield heading(
    'kubeportal_affinity_pins_evicted_total',
    'counter',
    'Pins removed at the limit --max-pins to make room for newer pins.',
  );
  yield `kubeportal_affinity_pins_evicted_total ${pins.evicted}\n`;
}

function heading(name: string, kind: 'counter' | 'gauge', help: string): string {
  return `\n# HELP ${name} ${help}\n# TYPE ${name} ${kind}\n`;
}
