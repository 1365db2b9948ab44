import { memoryOf } from '../memory.js';
import { FEW_PORTS } from '../turn.js';
import type { Figure } from './figure.js';
import { type Row, relays } from './row.js';

const CONNECTIONS = 9000;
/** Opened before the measurement: memory that a proxy takes only for its first connections does not count. */
const FIRST = 100;

const perConnection: Figure = { id: 'memory', title: 'KB per connection', better: 'less' };

/**
 * User memory of a proxy for each idle connection, after one round trip. The kernel's memory is not counted.
 */
export const idleRow: Row = {
  id: 'idle',
  title: `${CONNECTIONS} idle TCP connections (kube-proxy 1.20: 3000), user memory`,
  isMeasuredOnce: true,
  figures: [perConnection],
  suits: (contender) => !['path', 'incumbent'].includes(contender.role) && relays('TCP')(contender),
  measure: (turn) =>
    turn.inFreshDeployment({ ports: FEW_PORTS }, async ({ testbed, running }) => {
      if (running.pid === null) return {};
      const connections = Math.min(CONNECTIONS, turn.contender.maxConnections ?? CONNECTIONS) - FIRST;
      const hold = async (connections: number) => {
        if ((await testbed.hold(running.address, connections)) < connections)
          throw new Error('connections are refused');
      };
      await hold(FIRST);
      const before = memoryOf(running.pid).anonymous;
      await hold(connections);
      const after = memoryOf(running.pid).anonymous;
      return { memory: (after - before) / connections / 1000 };
    }),
};
