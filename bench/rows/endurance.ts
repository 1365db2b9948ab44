import { isOwn } from '../contenders/contender.js';
import { cpuOf } from '../cpu.js';
import { SERVER_PORTS } from '../load/plan.js';
import { CLIENT_ADDRESSES, PROXY_DESCRIPTORS } from '../testbed.js';
import { FEW_PORTS } from '../turn.js';
import { cpuPerMillion, type Figure, p50, p99 } from './figure.js';
import { type Row, relays } from './row.js';

const CONNECTIONS = 60_000;
const LOOKUPS_PER_SECOND = 5000;

const served: Figure = { id: 'served', title: 'served %', better: 'more' };
const answered: Figure = { id: 'answered', title: 'answered %', better: 'more' };

const count = (number: number) => number.toLocaleString('en');

/** How many connections can be open at the same time. Each is opened, and answers once. */
const openRow: Row = {
  id: 'open',
  title: `${count(CONNECTIONS)} open TCP connections (${count(PROXY_DESCRIPTORS)} descriptors)`,
  isMeasuredOnce: true,
  figures: [served],
  suits: (contender) => contender.id !== 'direct' && relays('TCP')(contender),
  measure: (turn) =>
    turn.inFreshDeployment({ ports: FEW_PORTS }, async ({ testbed, running: { address } }) => {
      const open = await testbed.hold(address, CONNECTIONS);
      return { served: (100 * open) / CONNECTIONS };
    }),
};

/** Short flows for so long that a proxy which takes a local port for each has none left. */
const lookupsRow: Row = {
  id: 'lookups',
  title: `${count(LOOKUPS_PER_SECOND)} new UDP flows a second, for a minute`,
  isMeasuredOnce: true,
  figures: [answered, p50, p99, cpuPerMillion],
  // It takes long, and the number of workers hardly changes it.
  suits: (contender) =>
    (!isOwn(contender.role) || contender.manyPorts !== undefined) && relays('UDP')(contender),
  measure: (turn) =>
    turn.inFreshDeployment(
      { ports: FEW_PORTS },
      async ({ testbed, running: { address, pid } }) => {
        const { warmup, endurance: duration } = turn.times;
        const work = { kind: 'lookups', perSecond: LOOKUPS_PER_SECOND, sources: CLIENT_ADDRESSES } as const;
        const plan = { warmup, duration, work, address, port: SERVER_PORTS.echo };
        const { result, seconds } = await cpuOf(pid, () => testbed.load(plan));
        const { total, losses, p50, p99 } = result;
        const cpu = seconds === null ? {} : { cpu: (seconds / total) * 1e6 };
        return { answered: (100 * total) / (total + losses), p50, p99, ...cpu };
      },
      { nodePorts: 'usual' },
    ),
};

export const ENDURANCE_ROWS: readonly Row[] = [openRow, lookupsRow];
