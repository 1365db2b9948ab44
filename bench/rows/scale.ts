import { setTimeout as sleep } from 'node:timers/promises';
import type { Running } from '../contenders/contender.js';
import { cpuOf } from '../cpu.js';
import { SERVER_PORTS, type Work } from '../load/plan.js';
import { median } from '../median.js';
import { memoryOf } from '../memory.js';
import { CLIENT_ADDRESSES } from '../testbed.js';
import { FEW_PORTS } from '../turn.js';
import { cpuPerMillion, type Figure, rate } from './figure.js';
import type { Row } from './row.js';

const MEGABYTE = 1e6;
/** Milliseconds after the start. By then, the proxy has given back the memory that only the start needs. */
const SETTLING_MS = 2000;
const MANY = '10,000 service ports (kube-proxy 1.20: 2000)';
/** How often the load is measured with many ports and with few ports. */
const PAIRS = 3;

const seconds: Figure = { id: 'start', title: 'seconds to healthy', better: 'less' };
const resident: Figure = { id: 'resident', title: 'RSS MB', better: 'less' };
const ratio: Figure = { id: 'ratio', title: `÷ rate with ${FEW_PORTS}`, better: 'more' };

export const startRow: Row = {
  id: 'start',
  title: `Start with ${MANY}`,
  isMeasuredOnce: true,
  figures: [seconds, resident],
  suits: ({ manyPorts }) => manyPorts !== undefined,
  async measure(turn) {
    const { startSeconds, running } = await turn.deployment(turn.contender.manyPorts);
    return { start: startSeconds, ...(await settledMemory(running)) };
  },
};

/** Memory with the Kubernetes source, which loads the client of the API server. */
export const apiMemoryRow: Row = {
  id: 'api-memory',
  title: `${FEW_PORTS} service ports from an API server`,
  isMeasuredOnce: true,
  figures: [resident],
  suits: ({ manyPorts }) => manyPorts !== undefined,
  measure: (turn) =>
    turn.inFreshDeployment({ ports: FEW_PORTS, source: 'api' }, ({ running }) => settledMemory(running)),
};

async function settledMemory({ pid }: Running): Promise<{ resident?: number }> {
  if (pid === null) return {};
  await sleep(SETTLING_MS);
  return { resident: memoryOf(pid).resident / MEGABYTE };
}

/** The same load with many ports and with few, in turn, so that a change of the machine meets both. */
function growthRow(id: string, title: string, port: number, work: Work): Row {
  return {
    id,
    title: `${title}, with ${MANY}`,
    isMeasuredOnce: true,
    figures: [ratio, rate, cpuPerMillion],
    suits: ({ manyPorts }) => manyPorts !== undefined,
    async measure(turn) {
      const [many, few] = [await turn.deployment(turn.contender.manyPorts), await turn.deployment()];
      const rates = { many: [] as number[], few: [] as number[] };
      const costs: number[] = [];
      for (let pair = 0; pair < PAIRS; pair++) {
        for (const [which, { testbed, running }] of Object.entries({ many, few })) {
          const plan = { ...turn.times, work, address: running.address, port };
          const { result, seconds } = await cpuOf(running.pid, () => testbed.load(plan));
          rates[which as 'many' | 'few'].push(result.rate);
          if (which === 'many' && seconds !== null) costs.push((seconds / result.total) * 1e6);
        }
      }
      const rate = median(rates.many);
      return { ratio: rate / median(rates.few), rate, cpu: median(costs) };
    },
  };
}

export const GROWTH_ROWS: readonly Row[] = [
  growthRow('many-connect', 'TCP connect + request + response, 32 clients', SERVER_PORTS.once, {
    kind: 'connect',
    clients: 32,
  }),
  growthRow('many-flows', 'UDP new flow + round trip, 32 clients', SERVER_PORTS.echo, {
    kind: 'flows',
    clients: 32,
    requests: 1,
    sources: CLIENT_ADDRESSES,
  }),
];
