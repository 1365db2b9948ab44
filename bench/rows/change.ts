import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { KubePortal } from '../../test/lab/kubeportal.js';
import { endpointSlice, listOf, service } from '../../test/lab/manifest.js';
import { SERVER_PORTS } from '../load/plan.js';
import type { Stage } from '../stage.js';
import type { Figure } from './figure.js';
import type { Row } from './row.js';

const CHANGES_PER_SECOND = 60;
/** Services added and taken away again, to see what the redirect's part costs. */
const ADDITIONS = 5;
const ADDRESS = '10.96.0.11';
const PORT = SERVER_PORTS.who[0];
const NAME = 'changing';

const effect: Figure = { id: 'p50', title: 'new picks, p50 ms', better: 'less' };
const slowEffect: Figure = { id: 'p99', title: 'p99 ms', better: 'less' };
const program: Figure = { id: 'program', title: 'Service added or gone, ms', better: 'less' };

/** One endpoint changes among many ports: from the manifest's rename to the first new flow that meets the new endpoint. */
export const changeRow: Row = {
  id: 'change',
  title: 'One endpoint changes among many service ports',
  once: true,
  figures: [effect, slowEffect, program],
  suits: ({ followsManifest = false }) => followsManifest,
  async measure(turn) {
    const { stage, running } = await turn.arena(turn.contender.manyPorts);
    const { kubePortal } = running;
    if (kubePortal === undefined) return {};
    const work = {
      kind: 'change',
      manifest: join(kubePortal.manifestDirectory, `${NAME}.json`),
      versions: versionsIn(kubePortal.stateDirectory, stage),
      times: Math.ceil(turn.span.duration * CHANGES_PER_SECOND),
    } as const;
    const { p50, p99 } = await stage.load({ ...turn.span, work, address: ADDRESS, port: PORT });
    return { p50: p50 / 1000, p99: p99 / 1000, program: await programMs(kubePortal, stage) };
  },
};

/** The manifest with one endpoint and with the other, which are two ports of the same pod. */
function versionsIn(
  directory: string,
  { backend }: Stage,
): { readonly file: string; readonly port: number }[] {
  return SERVER_PORTS.who.map((targetPort) => {
    const ports = [{ protocol: 'UDP', port: PORT, targetPort }] as const;
    const options = { name: NAME, clusterIPs: [ADDRESS], ports };
    const file = join(directory, `${NAME}-${targetPort}.json`);
    writeFileSync(file, listOf([service(options), endpointSlice(options, 'IPv4', [backend])]));
    return { file, port: targetPort };
  });
}

/** Mean time from a Service's coming or going, as kube-portal saw it, to its effect, ms. */
async function programMs(kubePortal: KubePortal, { backend }: Stage): Promise<number> {
  const options = { name: 'added', clusterIPs: ['10.96.0.12'], ports: [{ port: 80 }] };
  const objects = [service(options), endpointSlice(options, 'IPv4', [backend])];
  const before = await syncs(kubePortal);
  for (let change = 1; change <= 2 * ADDITIONS; change++) {
    kubePortal.writeManifest('added.json', listOf(change % 2 === 1 ? objects : []));
    const isDone = async () => (await syncs(kubePortal)).count >= before.count + change;
    await kubePortal.until(isDone, 'a change of the manifest has its effect');
  }
  const after = await syncs(kubePortal);
  return ((after.seconds - before.seconds) / (after.count - before.count)) * 1000;
}

async function syncs(kubePortal: KubePortal): Promise<{ readonly count: number; readonly seconds: number }> {
  const metrics = await kubePortal.metrics();
  const value = (suffix: string) =>
    Number(
      new RegExp(`^kubeproxy_sync_proxy_rules_duration_seconds_${suffix} (\\S+)$`, 'm').exec(metrics)?.[1],
    );
  return { count: value('count'), seconds: value('sum') };
}
