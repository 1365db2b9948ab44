import { setTimeout as sleep } from 'node:timers/promises';
import type { Program } from '../../test/lab/program.js';
import { VIP } from '../service.js';
import type { Testbed } from '../testbed.js';
import { ApiServer, CLUSTER_CIDR, NODE_NAME } from './api-server.js';
import { BOTH, type Contender } from './contender.js';

const TIMEOUT_MS = 300_000;
const POLL_MS = 100;

/**
 * kube-proxy's userspace mode, which releases before 1.26 had.
 * @param program path of a kube-proxy 1.20
 */
export function ancestor(program: string): Contender {
  return {
    id: 'ancestor',
    title: 'kube-proxy 1.20, userspace mode',
    protocols: BOTH,
    role: 'ancestor',
    // It runs iptables several times for each port, so more ports take minutes.
    manyPorts: 2000,
    // It uses six descriptors for each connection, and panics if it gets none.
    maxConnections: 3000,
    async start(testbed, { ports }) {
      const api = await ApiServer.start(testbed, ports);
      const startedAt = performance.now();
      const proxy = testbed.spawnProxy(program, [
        `--kubeconfig=${api.kubeconfig}`,
        '--proxy-mode=userspace',
        '--feature-gates=EndpointSliceProxying=false',
        `--hostname-override=${NODE_NAME}`,
        `--bind-address=${testbed.node.address4}`,
        `--cluster-cidr=${CLUSTER_CIDR}`,
        '--conntrack-max-per-core=0',
      ]);
      await untilProgrammed(testbed, proxy, ports);
      const stop = async () => {
        await proxy.stop('SIGKILL');
        await api.dispose();
      };
      return { address: VIP, pid: proxy.pid, startedAt, stop };
    },
  };
}

/** Waits for its rules, because it has no other sign that it serves: each port has one rule in this chain. */
async function untilProgrammed(testbed: Testbed, proxy: Program, ports: number): Promise<void> {
  const deadline = Date.now() + TIMEOUT_MS;
  for (;;) {
    const rules = await testbed.node.must('iptables-save', ['-t', 'nat']);
    const programmed = rules.match(/^-A KUBE-PORTALS-HOST /gm)?.length ?? 0;
    if (programmed >= ports) return;
    if (!proxy.running || Date.now() > deadline)
      throw new Error(
        `the ancestor programmed ${programmed} of ${ports} ports: ${proxy.stderr.slice(-2000)}`,
      );
    await sleep(POLL_MS);
  }
}
