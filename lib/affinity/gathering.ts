import type { RunRecord } from './analysis.js';
import { NotMeasured } from './notmeasured.js';

/**
 * One record out of those of several machines that asked the same Service at about the same time, each from
 * its own address. The rounds of all are one stage. Events and time-outs are not gathered.
 * @throws NotMeasured if there is no record, or if the records are not of one Service
 */
export function gather(records: readonly RunRecord[]): RunRecord {
  const [first] = records;
  if (first === undefined) throw new NotMeasured('no client has reported');
  const question = ({ asked: { address, ports } }: RunRecord) =>
    `${address} ${ports.map(({ port }) => port).join(',')}`;
  const stranger = records.find((record) => question(record) !== question(first));
  if (stranger !== undefined)
    throw new NotMeasured(`clients asked different things: ${question(first)}, and ${question(stranger)}`);
  const startMs = Math.min(...records.map(({ startedAt }) => Date.parse(startedAt)));
  const offsets = records.map(({ startedAt }) => Date.parse(startedAt) - startMs);
  const endMs = Math.max(...records.map(({ tookMs }, index) => (offsets[index] ?? 0) + tookMs));
  return {
    startedAt: new Date(startMs).toISOString(),
    tookMs: endMs,
    asked: { ...first.asked, clients: [...new Set(records.flatMap(({ asked }) => asked.clients))].sort() },
    stages: [{ kind: 'rounds', startMs: 0, endMs }],
    observations: records.flatMap(({ observations, stages }, index) =>
      observations
        .filter(({ stage }) => stages[stage]?.kind === 'rounds')
        .map((observation) => ({ ...observation, stage: 0, atMs: observation.atMs + (offsets[index] ?? 0) })),
    ),
    timeout: null,
  };
}
