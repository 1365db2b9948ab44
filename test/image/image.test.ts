import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import type { StatusReport } from '../../lib/server/metrics.js';
import { ApiServer } from '../apiserver/apiserver.js';
import { startBackend } from '../lab/backend.js';
import type { Host } from '../lab/host.js';
import { Lab, NODE_UPLINK } from '../lab/lab.js';
import { serviceWithPods } from '../lab/manifest.js';
import { tallies } from '../lab/tally.js';
import { tracesIn } from '../lab/traces.js';
import type { Container } from './container.js';
import { Docker } from './docker.js';
import { buildImages, type Images } from './image.js';
import { type ContainerSpec, dockerArguments, type PodSpec, type Probe } from './kubelet.js';

const BIN = fileURLToPath(new URL('../../../bin/kube-portal', import.meta.url));
const NODE_NAME = 'robot';
const NAMESPACE = '--namespace=kube-system';
const VIP = '10.96.0.10';
const SERVICE = {
  name: 'robot-arm',
  clusterIPs: [VIP],
  ports: [
    { name: 'http', protocol: 'TCP', port: 80, targetPort: 8080 },
    { name: 'control', protocol: 'TCP', port: 7000 },
    { name: 'dns', protocol: 'UDP', port: 53, targetPort: 5353 },
  ],
} as const;
const MEGABYTE = 1e6;

t.setTimeout(0);

t.test('the container image', async (t) => {
  const images = await buildImages();
  const lab = await Lab.forTest(t, { pods: ['client', 'a', 'b'] });
  const docker = await Docker.start(lab.node);
  t.teardown(() => docker.stop());
  await t.test('is lean', (t) => isLean(t, docker, images));

  const pods = [lab.pod('a'), lab.pod('b')];
  for (const pod of pods) {
    await startBackend(pod, { tcp: { 8080: 'http', 7000: 'name' }, udp: { 5353: 'name' } });
  }
  const api = await ApiServer.forTest(t, lab.node);
  await api.apply(...serviceWithPods(SERVICE, pods));
  const deployment = await deploy(api);
  const gracePeriod = deployment.spec.terminationGracePeriodSeconds;
  const root = t.testdir();
  /** Starts the container as a kubelet does, on the lab's node. */
  const start = async (t: Test, { spec, files }: Deployment) => {
    const args = dockerArguments(spec, images.final.Id, { nodeName: NODE_NAME, root, files });
    const container = await docker.start(args);
    t.teardown(() => container.remove());
    return container;
  };
  const status = (probe: 'livenessProbe' | 'readinessProbe') =>
    statusOf(lab.node, deployment.spec.containers[0][probe]);
  const cleanUp = async (t: Test) => {
    await lab.node.must(process.execPath, [BIN, 'run', '--cleanup', `--state-dir=${root}/run/kube-portal`]);
    t.same(await tracesIn(lab.node), [], 'nothing is left of it after --cleanup');
  };
  const isReady = async () => (await status('readinessProbe')) === 200;

  await t.test('does what the DaemonSet is for, with the rights of the DaemonSet', async (t) => {
    const container = await start(t, deployment);
    await container.until(isReady, 'it is ready');
    t.equal(await status('livenessProbe'), 200, 'it is alive');
    await isConfined(t, container);
    await isServed(t, lab.pod('client'));
    t.same(await carriersIn(container), ['kernel'], 'the kernel carries all Service ports');
    const traces = await tracesIn(lab.node);
    t.match(traces.join(), 'KUBE-PORTAL', 'by iptables rules');
    t.equal(await container.stop(gracePeriod), 0, 'exit code after SIGTERM');
    t.same(await tracesIn(lab.node), traces, 'its rules wait for the next pod');
    await cleanUp(t);
    t.same(await complaints(container), [], 'nothing to complain about');
  });

  await t.test('with --redirect=address needs NET_BIND_SERVICE for ports below 1024', async (t) => {
    const byAddress = withFlag(deployment, '--redirect=address');
    // The container runtime of Debian 12 does not know the capability.
    const unguarded = /^clients of VIPs also reach .* \(TCP 22\b.*the capabilities BPF and NET_ADMIN/;
    const ssh = await startBackend(lab.node, { tcp: { 22: 'name' } });
    const powerless = await start(t, byAddress);
    const told = async () => [...new Set(await complaints(powerless))].sort();
    await powerless.until(async () => (await told()).length >= 3, 'three complaints');
    t.match(await told(), [
      /^cannot listen on 10\.96\.0\.10:53\/UDP: .*NET_BIND_SERVICE/,
      /^cannot listen on 10\.96\.0\.10:80\/TCP: .*NET_BIND_SERVICE/,
      unguarded,
    ]);
    t.equal(await status('readinessProbe'), 503, 'it is not ready');
    t.equal(await powerless.stop(gracePeriod), 0, 'exit code after SIGTERM');

    const container = await start(t, withCapability(byAddress, 'NET_BIND_SERVICE'));
    await container.until(isReady, 'it is ready');
    await isServed(t, lab.pod('client'));
    t.equal(await container.stop(gracePeriod), 0, 'exit code after SIGTERM');
    await cleanUp(t);
    t.match(await complaints(container), [unguarded], 'nothing else to complain about');
    await ssh.stop('SIGKILL');
  });
});

async function isLean(t: Test, docker: Docker, { base, build, final }: Images): Promise<void> {
  t.equal(build.Config.User, 'build', 'it is not built by root');
  const sh = (script: string) =>
    docker.must(['run', '--rm', '--network=none', '--entrypoint=sh', final.Id, '-ec', script]);
  const versions = await sh(`
    for backend in nft legacy; do
      iptables-$backend --version
      ip6tables-$backend --version
    done`);
  t.same(versions.match(/\(\w+\)/g), ['(nf_tables)', '(nf_tables)', '(legacy)', '(legacy)'], 'iptables');

  const installed = await sh(
    "find node_modules -name package.json | sed 's#^node_modules/##; s#/package.json$##'",
  );
  const packages = new Set(installed.trim().split('\n'));
  const { dependencies, devDependencies } = JSON.parse(readFileSync('package.json', 'utf8')) as PackageJson;
  t.same(
    Object.keys(dependencies).filter((name) => !packages.has(name)),
    [],
    'it has every dependency',
  );
  // The Kubernetes client wants the types of Node.js at run time.
  const wanted = Object.keys(devDependencies).filter((name) => packages.has(name));
  t.same(wanted, ['@types/node'], 'it has no development dependency');
  const added = (final.Size - base.Size) / MEGABYTE;
  t.ok(added < 40, `it adds ${added.toFixed(0)} MB to its base`);
}

type PackageJson = Readonly<Record<'dependencies' | 'devDependencies', Readonly<Record<string, string>>>>;

/** Checks proc(5) of the process. The capabilities are CHOWN (0), NET_ADMIN (12) and NET_RAW (13). */
async function isConfined(t: Test, container: Container): Promise<void> {
  const { stdout } = await container.exec('cat', '/proc/1/status');
  const fields = Object.fromEntries(stdout.split('\n').map((line) => line.split(/:\s+/)));
  const capabilities = '0000000000003001';
  const expected = { CapEff: capabilities, CapBnd: capabilities, NoNewPrivs: '1', Seccomp: '2' };
  t.match(fields, expected, 'it has no more rights');
  t.match(
    await container.exec('touch', '/opt/kube-portal/a'),
    { stderr: 'Read-only file system' },
    'nor a place to write',
  );
}

/** What the cluster holds after `kubectl apply`, once the API server's address is in the ConfigMap. */
interface Deployment {
  readonly spec: PodSpec;
  readonly files: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

async function deploy(api: ApiServer): Promise<Deployment> {
  const manifests = await api.kubectl(['kustomize', 'deploy']);
  await api.kubectl(['apply', '--filename=-'], manifests.replace('control-plane.example', '127.0.0.1'));
  await api.apply({ apiVersion: 'v1', kind: 'Node', metadata: { name: NODE_NAME } });
  const get = async <T>(kind: string): Promise<T> =>
    JSON.parse(await api.kubectl(['get', kind, 'kube-portal', NAMESPACE, '--output=json'])) as T;
  const daemonSet = await get<{ spec: { template: { spec: PodSpec } } }>('daemonset');
  const { data } = await get<{ data: Readonly<Record<string, string>> }>('configmap');
  const { spec } = daemonSet.spec.template;
  const token = await api.kubectl(['create', 'token', spec.serviceAccountName, NAMESPACE]);
  return { spec, files: { 'kube-portal': data, serviceaccount: { token, 'ca.crt': api.authority } } };
}

/** As a kubelet asks a pod in the node's network. Resolves to the HTTP status, 0 without an answer. */
async function statusOf(node: Host, { httpGet }: Probe): Promise<number> {
  const url = `http://${NODE_UPLINK.address4}:${httpGet.port}${httpGet.path}`;
  const format = ['--output', '/dev/null', '--write-out', '%{http_code}'];
  const { stdout } = await node.exec('curl', ['--silent', '--max-time', '5', ...format, url]);
  return Number(stdout);
}

async function isServed(t: Test, client: Host): Promise<void> {
  const url = `http://${VIP}`;
  const answers = await client.must('curl', ['-sS', '--max-time', '10', url, url, url, url]);
  t.same(answers.trim().split('\n').sort(), ['a', 'a', 'b', 'b'], 'HTTP');
  const [tcp, udp] = await tallies(client, [
    { protocol: 'TCP', address: VIP, port: 7000, times: 4 },
    { protocol: 'UDP', address: VIP, port: 53, times: 4 },
  ]);
  t.same([tcp, udp], [both, both], 'TCP and UDP');
}

const both = { a: 2, b: 2 };

/** What carries the Service ports, asked for as docs/kubernetes.md says. */
async function carriersIn(container: Container): Promise<string[]> {
  const status = ['node', '/opt/kube-portal/bin/kube-portal', 'status', '--output=json'];
  const { portals } = JSON.parse((await container.exec(...status)).stdout) as StatusReport;
  return [...new Set(portals.map(({ carrier }) => carrier))];
}

/** Warnings and worse. */
async function complaints(container: Container): Promise<string[]> {
  return (await container.log()).filter(({ level }) => level >= 40).map(({ msg }) => msg);
}

function withFlag(deployment: Deployment, flag: string): Deployment {
  return withContainer(deployment, { args: [...deployment.spec.containers[0].args, flag] });
}

function withCapability(deployment: Deployment, name: string): Deployment {
  const { securityContext } = deployment.spec.containers[0];
  const { drop, add } = securityContext.capabilities;
  const capabilities = { drop, add: [...add, name] };
  return withContainer(deployment, { securityContext: { ...securityContext, capabilities } });
}

function withContainer(deployment: Deployment, change: Partial<ContainerSpec>): Deployment {
  const { spec } = deployment;
  return { ...deployment, spec: { ...spec, containers: [{ ...spec.containers[0], ...change }] } };
}
