import { groupBy } from './grouping.js';
import type { Answered } from './observation.js';
import type { SplitClient } from './result.js';

/**
 * Clients that met several backends at a time. See {@link SplitClient}.
 * @param answers of one stage, in the order of time
 * @param ports in the order in which they are to be told
 */
export function splitClients(answers: readonly Answered[], ports: readonly string[]): SplitClient[] {
  return [...groupBy(answers, ({ client }) => client)]
    .filter(([, own]) => comesBack(own))
    .map(([client, own]) => {
      const byPort = groupBy(own, ({ port }) => port);
      const told = ports
        .map((port) => ({ port, backends: backendsOf(byPort.get(port) ?? []) }))
        .filter(({ backends }) => backends.length > 0);
      return { client, ports: told };
    });
}

/** Whether a backend answers again after another one has answered. */
function comesBack(answers: readonly Answered[]): boolean {
  const left = new Set<string>();
  let current: string | undefined;
  for (const { backend } of answers) {
    if (left.has(backend)) return true;
    if (current !== undefined && current !== backend) {
      left.add(current);
    }
    current = backend;
  }
  return false;
}

/** The backends that answered, in alphabetical order. */
export function backendsOf(answers: readonly Answered[]): string[] {
  return [...new Set(answers.map(({ backend }) => backend))].sort();
}
