import { readFileSync } from 'node:fs';
import t from 'tap';
import { parseAllDocuments } from 'yaml';
import { affinityCommand } from '../../lib/cli/affinity.js';

interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly rules?: readonly { readonly resources: readonly string[]; readonly verbs: readonly string[] }[];
  readonly spec?: {
    readonly completions?: number;
    readonly parallelism?: number;
    readonly ports?: readonly { readonly port: number }[];
    readonly selector?: Readonly<Record<string, string>>;
    readonly template?: {
      readonly spec: {
        readonly serviceAccountName?: string;
        readonly containers: readonly { readonly args: readonly string[] }[];
      };
    };
  };
}

const MANIFESTS = parseAllDocuments(readFileSync('deploy/affinity-job.yaml', 'utf8')).map(
  (document) => document.toJS() as Manifest,
);

function find(kind: string, name: string): Manifest {
  const found = MANIFESTS.find((manifest) => manifest.kind === kind && manifest.metadata.name === name);
  if (found === undefined) throw new Error(`no ${kind} ${name}`);
  return found;
}

function argsOf(job: Manifest): readonly string[] {
  return job.spec?.template?.spec.containers[0]?.args ?? [];
}

t.test('both Jobs have flags that exist', async (t) => {
  const command = affinityCommand();
  const [first, ...flags] = argsOf(find('Job', 'affinity-clients'));
  t.equal(first, 'affinity');
  t.same(command.parseOptions(flags), { operands: ['default/web'], unknown: [] });
  const [, subcommand, ...rest] = argsOf(find('Job', 'affinity-gather'));
  const gather = command.commands.find((each) => each.name() === subcommand);
  t.same(gather?.parseOptions([...rest]), { operands: [], unknown: [] });
});

t.test('as many clients report as are waited for, to the Service of the pod that gathers', async (t) => {
  const { spec } = find('Job', 'affinity-clients');
  t.ok(argsOf(find('Job', 'affinity-gather')).includes(`--pods=${spec?.completions}`));
  t.equal(spec?.parallelism, spec?.completions);
  const service = find('Service', 'affinity-gather');
  const url = `http://${service.metadata.name}:${service.spec?.ports?.[0]?.port}`;
  t.ok(argsOf(find('Job', 'affinity-clients')).includes(`--report-to=${url}`));
  t.ok(argsOf(find('Job', 'affinity-gather')).includes('--listen=0.0.0.0:8080'));
  t.same(service.spec?.selector, { 'job-name': 'affinity-gather' });
});

t.test('the account may do what finding a Service by name needs, and nothing else', async (t) => {
  const rules = find('ClusterRole', 'kube-portal-affinity').rules ?? [];
  t.same(
    rules.map(({ resources, verbs }) => [resources, verbs]),
    [
      [['services'], ['get']],
      [['endpointslices'], ['list']],
    ],
  );
  t.equal(find('Job', 'affinity-clients').spec?.template?.spec.serviceAccountName, 'affinity');
});
