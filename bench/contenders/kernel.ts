import { VIP } from '../service.js';
import type { Testbed } from '../testbed.js';
import { BOTH, type Contender } from './contender.js';
import { redirect } from './redirect.js';

const nothing = async () => {};

/** The backend's own address: the limit of the path and of the load generator. */
export const direct: Contender = {
  id: 'direct',
  title: 'direct (no VIP)',
  protocols: BOTH,
  role: 'path',
  start: async (testbed) => ({ address: testbed.backend.address4, pid: null, stop: nothing }),
};

/** The best case for a Service: one rule for each port, one endpoint, no process. */
export const dnat: Contender = {
  id: 'kernel',
  title: 'kernel DNAT',
  protocols: BOTH,
  role: 'path',
  async start(testbed) {
    await translate(testbed);
    return { address: VIP, pid: null, stop: nothing };
  },
};

/** The best case where the endpoint must see the node's address. */
export const masquerade: Contender = {
  id: 'kernel-masquerade',
  title: 'kernel DNAT + MASQUERADE',
  protocols: BOTH,
  role: 'path',
  async start(testbed) {
    await translate(testbed);
    const rule = ['-A', 'POSTROUTING', '-d', testbed.backend.address4, '-j', 'MASQUERADE'];
    await testbed.node.must('iptables', ['-w', '-t', 'nat', ...rule]);
    return { address: VIP, pid: null, stop: nothing };
  },
};

function translate(testbed: Testbed): Promise<void> {
  return redirect(testbed, ({ port }) => `DNAT --to-destination ${testbed.backend.address4}:${port}`);
}
