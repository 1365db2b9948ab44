import { countBy, groupBy } from './grouping.js';
import type { Answered } from './observation.js';
import type { Repeats, Share } from './result.js';

/** What each backend had that answered. @param answers of one stage, in the order of time */
export function distributionOf(answers: readonly Answered[]): Share[] {
  const lastOfClient = new Map(answers.map(({ client, backend }) => [client, backend]));
  const clients = countBy(lastOfClient.values(), (backend) => backend);
  const counts = countBy(answers, ({ backend }) => backend);
  const backends = Object.keys(counts).sort();
  return backends.map((backend) => ({
    backend,
    clients: clients[backend] ?? 0,
    evenClients: even(lastOfClient.size, backends.length),
    answers: counts[backend] ?? 0,
    evenAnswers: even(answers.length, backends.length),
  }));
}

function even(total: number, parts: number): number {
  return parts === 0 ? 0 : total / parts;
}

/** How often links met the same backend as before. @param answers of one stage, in the order of time */
export function repeatsOf(answers: readonly Answered[]): Repeats {
  let [pairs, same] = [0, 0];
  for (const own of groupBy(answers, ({ client, port }) => `${client} ${port}`).values()) {
    pairs += own.length - 1;
    same += own.filter(({ backend }, index) => index > 0 && own[index - 1]?.backend === backend).length;
  }
  const backends = new Set(answers.map(({ backend }) => backend)).size;
  return { pairs, same, byChance: even(pairs, backends) };
}
