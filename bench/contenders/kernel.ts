import { VIP } from '../service.js';
import { BOTH, type Contender } from './contender.js';
import { redirect } from './redirect.js';

const nothing = async () => {};

/** What the path itself can carry, and the load generator can ask of it. */
export const direct: Contender = {
  id: 'direct',
  title: 'direct (no VIP)',
  protocols: BOTH,
  role: 'path',
  start: async (stage) => ({ address: stage.backend.address4, pid: null, stop: nothing }),
};

/** The best that a Service can get: one rule for a port, one endpoint, no process. */
export const dnat: Contender = {
  id: 'kernel',
  title: 'kernel DNAT',
  protocols: BOTH,
  role: 'path',
  async start(stage) {
    await redirect(stage, ({ port }) => `DNAT --to-destination ${stage.backend.address4}:${port}`);
    return { address: VIP, pid: null, stop: nothing };
  },
};
