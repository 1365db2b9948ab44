import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { KubePortal } from '../../test/lab/kubeportal.js';
import { listOf, serviceWithPods } from '../../test/lab/manifest.js';
import { type ChangeWork, NOBODY, SERVER_PORTS } from '../load/plan.js';
import type { Stage } from '../stage.js';
import type { Figure } from './figure.js';
import type { Row } from './row.js';

const CHANGES_PER_SECOND = 60;
/** Times that a Service is added or taken away, to see what the redirect's part costs. */
const REDIRECTS = 10;
const ADDRESS = '10.96.0.11';
const PORT = SERVER_PORTS.who[0];

const effect: Figure = { id: 'p50', title: 'new picks, p50 ms', better: 'less' };
const slowEffect: Figure = { id: 'p99', title: 'p99 ms', better: 'less' };
const program: Figure = { id: 'program', title: 'Service added, gone: ms', better: 'less' };

/**
 * Among many ports, one Service's endpoint changes: from the manifest's rename to the first new flow that meets the new
 * endpoint. Then the Service goes and comes: from its reading to its effect, as kube-portal's own metric has it.
 */
export const changeRow: Row = {
  id: 'change',
  title: 'One endpoint changes among 10,000 service ports',
  once: true,
  figures: [effect, slowEffect, program],
  suits: ({ followsManifest = false }) => followsManifest,
  async measure(turn) {
    const { stage, running } = await turn.arena(turn.contender.manyPorts);
    const { kubePortal } = running;
    if (kubePortal === undefined) return {};
    const [first, second] = SERVER_PORTS.who.map((port) => version(kubePortal, stage, port));
    const change = (times: number, ...versions: readonly Version[]) => {
      const manifest = join(kubePortal.manifestDirectory, 'changing.json');
      const work = { kind: 'change', manifest, versions, times } as const;
      return stage.load({ ...turn.span, work, address: ADDRESS, port: PORT });
    };
    const { p50, p99 } = await change(Math.ceil(turn.span.duration * CHANGES_PER_SECOND), first, second);
    const before = await syncs(stage);
    await change(REDIRECTS, without(kubePortal), first);
    const after = await syncs(stage);
    const seconds = (after.seconds - before.seconds) / (after.count - before.count);
    return { p50: p50 / 1000, p99: p99 / 1000, program: seconds * 1000 };
  },
};

type Version = ChangeWork['versions'][number];

/** A manifest with the Service and one endpoint, a port of the pod that answers with its number. */
function version({ stateDirectory }: KubePortal, { backend }: Stage, targetPort: number): Version {
  const ports = [{ protocol: 'UDP', port: PORT, targetPort }] as const;
  const objects = serviceWithPods({ name: 'changing', clusterIPs: [ADDRESS], ports }, [backend]);
  const file = join(stateDirectory, `changing-${targetPort}.json`);
  writeFileSync(file, listOf(objects));
  return { file, port: targetPort };
}

/** A manifest without the Service. */
function without({ stateDirectory }: KubePortal): Version {
  const file = join(stateDirectory, 'gone.json');
  writeFileSync(file, listOf([]));
  return { file, port: NOBODY };
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
