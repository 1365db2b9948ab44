import { readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { Command } from 'commander';
import { Registry } from 'prom-client';
import t from 'tap';
import { parse, parseAllDocuments } from 'yaml';
import { parseConfigFile } from '../../lib/cli/config-file.js';
import { addRunFlags } from '../../lib/cli/run-flags.js';
import { metricsRoutes } from '../../lib/server/metrics.js';
import { SyncMetrics } from '../../lib/server/sync-metrics.js';
import { loadClusterUser } from '../../lib/sources/kubernetes/cluster-user.js';
import { nodeResource, SERVICES, SLICES } from '../../lib/sources/kubernetes/resources.js';
import { bodyOf, NO_PINS } from '../server/fixtures.js';

interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly rules?: readonly {
    readonly apiGroups: readonly string[];
    readonly resources: readonly string[];
    readonly verbs: readonly string[];
  }[];
  readonly data?: Readonly<Record<string, string>>;
  readonly spec?: { readonly template: { readonly spec: PodSpec } };
}

interface PodSpec {
  readonly serviceAccountName: string;
  readonly containers: readonly [ContainerSpec];
  readonly volumes: readonly { readonly name: string; readonly configMap?: object }[];
}

interface ContainerSpec {
  readonly args: readonly string[];
  readonly securityContext: { readonly capabilities: unknown; readonly readOnlyRootFilesystem: boolean };
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
}

function manifests(path: string): Manifest[] {
  const documents = parseAllDocuments(readFileSync(path, 'utf8'));
  return documents.map((document) => document.toJS() as Manifest);
}

/** What the DaemonSet's container is started with, and where it finds the keys of its ConfigMap as files. */
function podTemplate() {
  const { containers, volumes } = manifests('deploy/daemonset.yaml')[0]!.spec!.template.spec;
  const [{ args, volumeMounts }] = containers;
  const { name } = volumes.find(({ configMap }) => configMap !== undefined)!;
  return { args, configDir: volumeMounts.find((mount) => mount.name === name)!.mountPath };
}

t.test('kustomization.yaml names the files that are there', async (t) => {
  const { resources } = parse(readFileSync('deploy/kustomization.yaml', 'utf8')) as { resources: string[] };
  const kinds = resources.flatMap((file) => manifests(`deploy/${file}`)).map(({ kind }) => kind);
  t.same(kinds.sort(), ['ClusterRole', 'ClusterRoleBinding', 'ConfigMap', 'DaemonSet', 'ServiceAccount']);
});

t.test('the DaemonSet has flags that exist and no more rights than it needs', async (t) => {
  const { serviceAccountName, containers } = manifests('deploy/daemonset.yaml')[0]!.spec!.template.spec;
  const [container] = containers;
  const [subcommand, ...flags] = container!.args;
  t.equal(subcommand, 'run');
  addRunFlags(new Command('run').exitOverride()).parse(flags, { from: 'user' });
  t.ok(
    manifests('deploy/rbac.yaml').some(
      ({ kind, metadata }) => kind === 'ServiceAccount' && metadata.name === serviceAccountName,
    ),
  );
  t.match(container!.securityContext, {
    readOnlyRootFilesystem: true,
    allowPrivilegeEscalation: false,
    capabilities: { drop: ['ALL'], add: ['NET_ADMIN', 'NET_RAW', 'CHOWN'] },
  });
});

t.test('the systemd unit has the capabilities of the DaemonSet, at least', async (t) => {
  const unit = readFileSync('deploy/systemd/kube-portal.service', 'utf8');
  const [, bounds = ''] = /^CapabilityBoundingSet=(.*)$/m.exec(unit)!;
  const { containers } = manifests('deploy/daemonset.yaml')[0]!.spec!.template.spec;
  const { add } = containers[0].securityContext.capabilities as { add: string[] };
  t.same(
    add.filter((name) => !bounds.split(' ').includes(`CAP_${name}`)),
    [],
  );
});

t.test('the account may list and watch whatever an API server may have, old or new', async (t) => {
  const role = manifests('deploy/rbac.yaml').find(({ kind }) => kind === 'ClusterRole')!;
  for (const { path } of [...SERVICES, ...SLICES, ...nodeResource('robot')]) {
    const [, group = '', resource] = /^\/apis?\/(?:(.+)\/)?v\w+\/(\w+)$/.exec(path)!;
    const rule = role.rules!.find(
      ({ apiGroups, resources }) => apiGroups.includes(group) && resources.includes(resource!),
    );
    t.match(rule, { verbs: ['list', 'watch'] }, path);
  }
});

const CONFIG_MAPS = {
  ours: 'deploy/configmap.yaml',
  "kubeadm's": 'test/deploy/kubeadm-configmap.yaml',
};

for (const [whose, file] of Object.entries(CONFIG_MAPS)) {
  t.test(`${whose} ConfigMap, as it is, is all that the DaemonSet needs`, async (t) => {
    const { args, configDir } = podTemplate();
    const { data } = manifests(file)[0]!;
    const config = args.find((arg) => arg.startsWith('--config='))!.replace('--config=', '');
    t.equal(dirname(config), configDir);
    const { flags, ignored } = parseConfigFile(data![basename(config)]!);
    t.same(ignored, [], 'everything in it means something');
    t.equal(dirname(flags.kubeconfig!), configDir, 'its kubeconfig is where it says');
    const kubeconfig = join(t.testdir(), 'kubeconfig');
    writeFileSync(kubeconfig, data![basename(flags.kubeconfig!)]!);
    const serviceAccount = '/var/run/secrets/kubernetes.io/serviceaccount';
    t.match(loadClusterUser({ kubeconfig }), {
      cluster: { server: /^https:.*:6443$/, caFile: `${serviceAccount}/ca.crt` },
      user: { tokenFile: `${serviceAccount}/token` },
    });
  });
}

t.test('the dashboard asks for metrics that exist', async (t) => {
  const registry = new Registry();
  new SyncMetrics(registry);
  const routes = metricsRoutes(
    {
      summary: () => ({
        driver: 'none',
        workers: 1,
        fallbacks: [],
        carrier: 'relay',
        carrierLimits: [],
        problems: [],
      }),
      portals: () => [],
      states: () => [],
      counters: () => [],
      droppedLogLines: () => 0,
      connectionsOfRemoved: () => 0,
      pins: NO_PINS,
      endpoints: null,
      maxPins: 100,
      configuration: () => ({}),
    },
    registry,
  );
  const body = await bodyOf(routes, '/metrics');
  const dashboard = readFileSync('deploy/grafana/kube-portal.json', 'utf8');
  const asked = dashboard.match(/\b(?:kubeportal|kubeproxy|process)_\w+/g)!;
  for (const name of new Set(asked)) {
    t.ok(body.includes(`# TYPE ${name.replace(/_bucket$/, '')} `), name);
  }
});
