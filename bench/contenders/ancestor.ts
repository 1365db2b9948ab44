import { setTimeout as sleep } from 'node:timers/promises';
import type { Program } from '../../test/lab/program.js';
import { VIP } from '../service.js';
import type { Stage } from '../stage.js';
import { ApiServer, NODE_NAME } from './api-server.js';
import { BOTH, type Contender } from './contender.js';

const TIMEOUT_MS = 300_000;
const POLL_MS = 100;

/** kube-proxy's own userspace mode, which it had until release 1.25. @param program path of a kube-proxy 1.20 */
export function ancestor(program: string): Contender {
  return {
    id: 'ancestor',
    title: 'kube-proxy 1.20, userspace mode',
    protocols: BOTH,
    role: 'ancestor',
    // More take minutes: it runs several iptables for each port.
    manyPorts: 2000,
    // It has six descriptors for each, and panics without.
    mostConnections: 3000,
    async start(stage, { ports }) {
      const api = await ApiServer.start(stage, ports);
      const proxy = stage.node.spawn(program, [
        `--kubeconfig=${api.kubeconfig}`,
        '--proxy-mode=userspace',
        '--feature-gates=EndpointSliceProxying=false',
        `--hostname-override=${NODE_NAME}`,
        `--bind-address=${stage.node.address4}`,
        '--cluster-cidr=10.244.0.0/16',
        '--conntrack-max-per-core=0',
      ]);
      await untilProgrammed(stage, proxy, ports);
      const stop = async () => {
        await proxy.stop('SIGKILL');
        await api.dispose();
      };
      return { address: VIP, pid: proxy.pid, stop };
    },
  };
}

/** It has no other sign of being ready than its rules: one for each port in each of two chains. */
async function untilProgrammed(stage: Stage, proxy: Program, ports: number): Promise<void> {
  const deadline = Date.now() + TIMEOUT_MS;
  for (;;) {
    const rules = await stage.node.must('iptables-save', ['-t', 'nat']);
    const programmed = rules.match(/^-A KUBE-PORTALS-HOST /gm)?.length ?? 0;
    if (programmed >= ports) return;
    if (!proxy.running || Date.now() > deadline)
      throw new Error(
        `the ancestor programmed ${programmed} of ${ports} ports: ${proxy.stderr.slice(-2000)}`,
      );
    await sleep(POLL_MS);
  }
}
