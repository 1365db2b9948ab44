import { spawnSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Program } from '../../test/lab/program.js';
import { metricsOf, sampleOf } from '../metrics.js';
import { VIP } from '../service.js';
import type { Testbed } from '../testbed.js';
import { ApiServer, CLUSTER_CIDR, NODE_NAME } from './api-server.js';
import { BOTH, type Contender } from './contender.js';

const BUILD = fileURLToPath(new URL('../../../scripts/kube-proxy.sh', import.meta.url));
const CANNOT_BE_HAD = 77;
/** iptables-nft-restore 1.8.9 alone takes 10 s and more to read the rules of 10,000 ports. */
const TIMEOUT_MS = 300_000;
/** Each answer costs kube-proxy some time. */
const POLL_MS = 200;

/**
 * The present kube-proxy with its defaults, in one of the modes that people run. Of the node's settings it
 * changes none that other namespaces share.
 */
export function kubeProxy(mode: 'iptables' | 'nftables'): Contender {
  return {
    id: `kube-proxy-${mode}`,
    title: `kube-proxy, ${mode}`,
    protocols: BOTH,
    role: 'incumbent',
    manyPorts: 10_000,
    // Less than a second after its last change, it waits (minSyncPeriod).
    changePauseMs: 1200,
    ...(mode === 'nftables' && { needs: { program: 'nft', packages: 'nftables' } }),
    prepare: () => programPath() !== null,
    async start(testbed, { ports }) {
      const api = await ApiServer.start(testbed, ports);
      const startedAt = performance.now();
      const proxy = testbed.spawnProxy(programPath() as string, [
        `--kubeconfig=${api.kubeconfig}`,
        '--kube-api-content-type=application/json',
        `--proxy-mode=${mode}`,
        `--hostname-override=${NODE_NAME}`,
        `--cluster-cidr=${CLUSTER_CIDR}`,
        '--conntrack-max-per-core=0',
      ]);
      const stop = async () => {
        await proxy.stop('SIGKILL');
        await api.dispose();
      };
      await untilProgrammed(testbed, proxy).catch(async (error: unknown) => {
        await stop();
        throw error;
      });
      return { address: VIP, pid: proxy.pid, api, startedAt, stop };
    },
  };
}

let path: string | null | undefined;

/** The program's path. The first call may build it, and says on standard error why it cannot be had. */
function programPath(): string | null {
  if (path !== undefined) return path;
  const { status, stdout } = spawnSync(BUILD, { stdio: ['ignore', 'pipe', 'inherit'], encoding: 'utf8' });
  if (status !== 0 && status !== CANNOT_BE_HAD) throw new Error('kube-proxy does not build');
  path = status === 0 ? `${stdout.trim()}/kube-proxy` : null;
  return path;
}

/** Waits for its first change of the rules, which it makes once it knows all Services and endpoints. */
async function untilProgrammed({ node }: Testbed, proxy: Program): Promise<void> {
  const deadline = Date.now() + TIMEOUT_MS;
  for (;;) {
    const metrics = await metricsOf(node);
    if (metrics !== null && sampleOf(metrics, 'kubeproxy_sync_proxy_rules_last_timestamp_seconds')) return;
    if (!proxy.running || Date.now() > deadline)
      throw new Error(`kube-proxy does not serve: ${proxy.stderr.slice(-2000)}`);
    await sleep(POLL_MS);
  }
}
