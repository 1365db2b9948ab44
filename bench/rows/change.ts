import { join } from 'node:path';
import { exactly } from '../../test/lab/items.js';
import type { ServiceOptions } from '../../test/lab/manifest.js';
import { type ApiServer, writeObjects } from '../contenders/api-server.js';
import { type ChangeWork, NOBODY, SERVER_PORTS } from '../load/plan.js';
import type { Stage } from '../stage.js';
import type { Figure } from './figure.js';
import type { Row } from './row.js';

/** For each second that a measurement is given. Of fewer than a hundred in all, the slowest one would be the 99th percentile. */
const CHANGES_PER_SECOND = 150;
/** Times that a Service is added or taken away, to see what the redirect's part costs. */
const REDIRECTS = 10;
const ADDRESS = '10.96.0.11';
const PORT = SERVER_PORTS.who[0];

const effect: Figure = { id: 'p50', title: 'new picks, p50 ms', better: 'less' };
const slowEffect: Figure = { id: 'p99', title: 'p99 ms', better: 'less' };
const program: Figure = { id: 'program', title: 'Service added, gone: ms', better: 'less' };

/**
 * Among many ports, one Service's endpoint changes: from when the API server has it to the first new flow that meets the
 * new endpoint. Then the Service goes and comes: from its event to its effect, as kube-portal's own metric has it.
 */
export const changeRow: Row = {
  id: 'change',
  title: 'One endpoint changes among 10,000 service ports',
  once: true,
  figures: [effect, slowEffect, program],
  suits: ({ role, manyPorts }) => role === 'own' && manyPorts !== undefined,
  measure: (turn) =>
    turn.inFreshArena({ ports: turn.contender.manyPorts as number, source: 'api' }, async (arena) => {
      const { stage } = arena;
      const api = arena.running.api as ApiServer;
      const [first, second] = exactly(
        2,
        SERVER_PORTS.who.map((port) => version(api, stage, port)),
      );
      const change = (times: number, ...versions: readonly Version[]) => {
        const work = { kind: 'change', file: api.changing, versions, times } as const;
        return stage.load({ ...turn.span, work, address: ADDRESS, port: PORT });
      };
      const { p50, p99 } = await change(Math.ceil(turn.span.duration * CHANGES_PER_SECOND), first, second);
      const before = await syncs(stage);
      await change(REDIRECTS, version(api, stage, NOBODY), first);
      const after = await syncs(stage);
      const seconds = (after.seconds - before.seconds) / (after.count - before.count);
      return { p50: p50 / 1000, p99: p99 / 1000, program: seconds * 1000 };
    }),
};

type Version = ChangeWork['versions'][number];

/** The Service with one endpoint, a port of the pod that answers with its number; or no Service. */
function version({ directory }: ApiServer, { backend }: Stage, targetPort: number): Version {
  const ports = [{ name: 'who', protocol: 'UDP', port: PORT, targetPort }] as const;
  const service: ServiceOptions = { name: 'changing', clusterIPs: [ADDRESS], ports };
  const file = join(directory, `changing-${targetPort}.json`);
  writeObjects(file, targetPort === NOBODY ? [] : [service], backend);
  return { file, port: targetPort };
}

/** How often something took effect, and how long that took altogether. The metrics of many ports take their time. */
async function syncs({ node }: Stage): Promise<{ readonly count: number; readonly seconds: number }> {
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
