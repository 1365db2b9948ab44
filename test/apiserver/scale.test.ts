import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { startBackend } from '../lab/backend.js';
import { KubePortal } from '../lab/kubeportal.js';
import { Lab } from '../lab/lab.js';
import type { Program } from '../lab/program.js';
import { tallies } from '../lab/tally.js';
import { ApiServer, NODE } from './apiserver.js';
import { crowdVip, ownEndpoints, PODS, SERVICES, TARGET_PORT } from './crowd.js';
import type { CrowdReport } from './crowd-program.js';

const FLAGS = ['--hostname-override=robot'];
const STORM = { perSecond: 1_000, seconds: 30 };
/** Between two looks at a daemon in a storm. */
const PAUSE_MS = 2_000;
/** V8 lets a heap grow to about twice what is in use before it collects, and returns little in between. */
const MEMORY_GROWTH = 2;
/** Now and then these are asked in a storm. */
const SAMPLE = [0, 1, 500, 1234, SERVICES - 1];
const PROGRAM = fileURLToPath(new URL('crowd-program.js', import.meta.url));

t.setTimeout(0);

interface Slice {
  readonly metadata: { readonly name: string };
  readonly endpoints: readonly { readonly addresses: readonly [string] }[];
}

async function prepare(t: Test) {
  const lab = await Lab.forTest(t, { pods: ['client', ...PODS] });
  const pods = PODS.map((name) => lab.pod(name));
  await ownEndpoints(pods);
  await Promise.all(pods.map((pod) => startBackend(pod, { tcp: { [TARGET_PORT]: 'name' } })));
  const api = await ApiServer.forTest(t, lab.node);
  await api.apply(NODE);
  const crowd = (...args: readonly (string | number)[]) =>
    lab.node.spawn(process.execPath, [PROGRAM, api.adminKubeconfig, ...args.map(String)]);
  return { lab, api, crowd };
}

async function reportOf(program: Program): Promise<CrowdReport> {
  const { code, stdout, stderr } = await program.finish(120_000);
  if (code !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as CrowdReport;
}

t.test('two thousand Services with five endpoints each, and a storm of changes', async (t) => {
  const { lab, api, crowd } = await prepare(t);
  const created = await reportOf(crowd('create'));
  t.comment(`${created.written} objects created in ${created.seconds.toFixed(1)} s`);

  const kubeconfig = await api.proxyKubeconfig();
  const started = performance.now();
  const kubePortal = await KubePortal.forTest(t, lab.node, { kubeconfig, flags: FLAGS });
  t.comment(`${((performance.now() - started) / 1000).toFixed(1)} s from start to healthy`);

  /** What is served and what the API server says, each Service's endpoints as text. */
  const served = async () => {
    const { portals } = await kubePortal.status();
    const crowd = portals.filter(({ service }) => service.startsWith('default/crowd-'));
    return new Map(crowd.map(({ service, endpoints }) => [service, endpoints.join()]));
  };
  const wanted = async () => {
    const path = '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices';
    const { items } = JSON.parse(await api.kubectl(['get', `--raw=${path}`])) as { items: readonly Slice[] };
    const text = ({ endpoints }: Slice) =>
      endpoints.map(({ addresses: [address] }) => `${address}:${TARGET_PORT}`).join();
    return new Map(items.map((slice) => [`default/${slice.metadata.name}`, text(slice)]));
  };
  /** Names of the Services that are not served as the API server says. */
  const wrong = async (expected: Awaited<ReturnType<typeof wanted>>) => {
    const actual = await served();
    return [...expected].filter(([name, text]) => actual.get(name) !== text).map(([name]) => name);
  };
  /** Each endpoint of a sample gets its turn. */
  const ask = async () => {
    const questions = SAMPLE.map((index) => ({
      protocol: 'TCP' as const,
      address: crowdVip(index),
      port: 80,
      times: PODS.length,
    }));
    return tallies(lab.pod('client'), questions);
  };
  const inTurn = Object.fromEntries(PODS.map((name) => [name, 1]));
  const everyone = SAMPLE.map(() => inTurn);

  t.equal((await served()).size, SERVICES);
  t.same(await wrong(await wanted()), []);
  t.same(await ask(), everyone);
  const before = kubePortal.rss();
  t.comment(`${megabytes(before)} MB resident`);

  t.comment('a storm');
  const storm = crowd('storm', STORM.perSecond, STORM.seconds);
  let longest = 0;
  while (storm.running) {
    const asked = performance.now();
    t.equal(await kubePortal.healthz(), 200, 'healthy in the storm');
    longest = Math.max(longest, performance.now() - asked);
    t.same(await ask(), everyone, 'clients are served in the storm');
    await sleep(PAUSE_MS);
  }
  const { written, seconds } = await reportOf(storm);
  t.comment(`${(written / seconds).toFixed(0)} changes a second for ${seconds.toFixed(0)} s`);
  t.comment(`the slowest answer of /healthz took ${longest.toFixed(0)} ms, with a process for curl`);
  const last = await wanted();
  await kubePortal.until(async () => (await wrong(last)).length === 0, 'the last state');
  t.same(await ask(), everyone);
  await kubePortal.until(async () => kubePortal.rss() < before * MEMORY_GROWTH, 'memory is given back');
  t.comment(`${megabytes(kubePortal.rss())} MB resident after the storm`);
});

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(0);
}
