import { SERVER_PORTS } from '../load/plan.js';
import { memoryOf } from '../memory.js';
import { FEW_PORTS } from '../turn.js';
import type { Figure } from './figure.js';
import { type Row, relays } from './row.js';

const CONNECTIONS = 9000;
/** Opened before, so that what a proxy needs for its first connections does not count for all. */
const FIRST = 100;

const perConnection: Figure = { id: 'memory', title: 'KB per connection', better: 'less' };

/** User memory that idle connections take in a proxy, each after one round trip; the kernel's socket memory is not in it. */
export const idleRow: Row = {
  id: 'idle',
  title: `${CONNECTIONS} idle TCP connections (kube-proxy: 3000), user memory`,
  once: true,
  figures: [perConnection],
  suits: (contender) => contender.role !== 'path' && relays('TCP')(contender),
  measure: (turn) =>
    turn.inFreshArena({ ports: FEW_PORTS }, async ({ stage, running }) => {
      if (running.pid === null) return {};
      const target = { address: running.address, port: SERVER_PORTS.echo };
      const connections = Math.min(CONNECTIONS, turn.contender.mostConnections ?? CONNECTIONS) - FIRST;
      await stage.hold(target, FIRST);
      const before = memoryOf(running.pid).anonymous;
      await stage.hold(target, connections);
      const after = memoryOf(running.pid).anonymous;
      return { memory: (after - before) / connections / 1000 };
    }),
};
