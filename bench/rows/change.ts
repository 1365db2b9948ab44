import { join } from 'node:path';
import { exactly } from '../../test/lab/items.js';
import type { ServiceOptions } from '../../test/lab/manifest.js';
import { type ApiServer, writeObjects } from '../contenders/api-server.js';
import { type ChangeWork, NOBODY, SERVER_PORTS } from '../load/plan.js';
import type { Testbed } from '../testbed.js';
import type { Figure } from './figure.js';
import type { Row } from './row.js';

/** For each second of a measurement. With fewer than a hundred changes, the slowest one would be p99. */
const CHANGES_PER_SECOND = 150;
/** How often a Service is added or removed, to measure the part of the redirect. */
const REDIRECTS = 10;
const ADDRESS = '10.96.0.11';
const PORT = SERVER_PORTS.who[0];

const effect: Figure = { id: 'p50', title: 'until new flows, p50 ms', better: 'less' };
const slowEffect: Figure = { id: 'p99', title: 'p99 ms', better: 'less' };
const program: Figure = { id: 'program', title: 'Service added or removed, ms', better: 'less' };

/**
 * The endpoint of one Service changes, among many Services. Measures the time from the change in the API
 * server to the first new flow to the new endpoint. Then the Service is removed and added. Measures the time
 * from the event to its effect, by kube-portal's own metric.
 */
export const changeRow: Row = {
  id: 'change',
  title: 'One endpoint changes among 10,000 service ports',
  isMeasuredOnce: true,
  figures: [effect, slowEffect, program],
  suits: ({ role, manyPorts }) => role === 'own' && manyPorts !== undefined,
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
          const work = { kind: 'change', file: api.changing, versions, times } as const;
          return testbed.load({ ...turn.span, work, address: ADDRESS, port: PORT });
        };
        const { p50, p99 } = await change(Math.ceil(turn.span.duration * CHANGES_PER_SECOND), first, second);
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

/** How many changes took effect, and their seconds together. With many ports, the metrics take a while. */
async function syncs({ node }: Testbed): Promise<{ readonly count: number; readonly seconds: number }> {
  const url = 'http://127.0.0.1:10249/metrics';
  const metrics = await node.must('curl', ['--silent', '--show-error', '--fail', url], {
    timeoutMs: 120_000,
  });
  const value = (suffix: string) =>
    Number(
      new RegExp(`^kubeproxy_sync_proxy_rules_duration_seconds_${suffix} (\\S+)$`, 'm').exec(metrics)?.[1],
    );
  return { count: value('count'), seconds: value('sum') };
}
