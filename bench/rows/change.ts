import { join } from 'node:path';
import { exactly } from '../../test/lab/items.js';
import type { ServiceOptions } from '../../test/lab/manifest.js';
import { type ApiServer, writeObjects } from '../contenders/api-server.js';
import { isOwn } from '../contenders/contender.js';
import { type ChangeWork, NOBODY, SERVER_PORTS } from '../load/plan.js';
import { metricsOf, sampleOf } from '../metrics.js';
import type { Testbed } from '../testbed.js';
import type { Figure } from './figure.js';
import type { Row } from './row.js';

/** For each second of a measurement. With fewer than a hundred changes, the slowest one would be p99. */
const CHANGES_PER_SECOND = 150;
/** How often a Service is added or removed, to measure the part of the redirect. */
const REDIRECTS = 10;
/** With less, a proxy would collect several changes and apply them together. */
const CHANGE_PAUSE_MS = 300;
const ADDRESS = '10.96.0.11';
const PORT = SERVER_PORTS.who[0];

const effect: Figure = { id: 'p50', title: 'until new flows, p50 ms', better: 'less' };
const slowEffect: Figure = { id: 'p99', title: 'p99 ms', better: 'less' };
const program: Figure = { id: 'program', title: 'Service added or removed, ms', better: 'less' };

/**
 * The endpoint of one Service changes, among many Services. Measures the time from the change in the API
 * server to the first new flow to the new endpoint. Then the Service is removed and added. Measures the time
 * from the event to its effect, by the proxy's own metric. Pauses between changes are so long that no proxy
 * has to wait before it applies one.
 */
export const changeRow: Row = {
  id: 'change',
  title: 'One endpoint changes among 10,000 service ports',
  isMeasuredOnce: true,
  figures: [effect, slowEffect, program],
  suits: ({ role, manyPorts }) => (isOwn(role) || role === 'incumbent') && manyPorts !== undefined,
  measure: (turn) =>
    turn.inFreshDeployment(
      { ports: turn.contender.manyPorts as number, source: 'api' },
      async (deployment) => {
        const { testbed } = deployment;
        const api = deployment.running.api as ApiServer;
        const [first, second] = exactly(
          2,
          SERVER_PORTS.who.map((port) => version(api, testbed, port)),
        );
        const change = (times: number, ...versions: readonly Version[]) => {
          const { changePauseMs: pauseMs = CHANGE_PAUSE_MS } = turn.contender;
          const work = { kind: 'change', file: api.changing, versions, times, pauseMs } as const;
          return testbed.load({ ...turn.times, work, address: ADDRESS, port: PORT });
        };
        const { p50, p99 } = await change(Math.ceil(turn.times.duration * CHANGES_PER_SECOND), first, second);
        const before = await syncs(testbed);
        await change(REDIRECTS, version(api, testbed, NOBODY), first);
        const after = await syncs(testbed);
        const seconds = (after.seconds - before.seconds) / (after.count - before.count);
        return { p50: p50 / 1000, p99: p99 / 1000, program: seconds * 1000 };
      },
    ),
};

type Version = ChangeWork['versions'][number];

/** The Service with one endpoint: a port of the pod that answers with its number. NOBODY: no Service. */
function version({ directory }: ApiServer, { backend }: Testbed, targetPort: number): Version {
  const ports = [{ name: 'who', protocol: 'UDP', port: PORT, targetPort }] as const;
  const service: ServiceOptions = { name: 'changing', clusterIPs: [ADDRESS], ports };
  const file = join(directory, `changing-${targetPort}.json`);
  writeObjects(file, targetPort === NOBODY ? [] : [service], backend);
  return { file, port: targetPort };
}

/** How many changes took effect, and their seconds together. */
async function syncs({ node }: Testbed): Promise<{ readonly count: number; readonly seconds: number }> {
  const metrics = await metricsOf(node);
  if (metrics === null) throw new Error('the proxy does not export metrics');
  const value = (suffix: string) =>
    sampleOf(metrics, `kubeproxy_sync_proxy_rules_duration_seconds_${suffix}`) ?? 0;
  return { count: value('count'), seconds: value('sum') };
}
