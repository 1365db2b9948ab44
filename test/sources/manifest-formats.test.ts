import t from 'tap';
import { ManifestHarness, serviceYaml } from './manifest-harness.js';

t.setTimeout(0);

t.test('documents and lists are read in YAML and JSON, as kubectl prints them', async (t) => {
  const item = { apiVersion: 'v1', kind: 'Service', metadata: { name: 'c' }, spec: { ports: [{ port: 3 }] } };
  const { apiVersion: _, kind: __, ...bare } = item;
  const dir = t.testdir({
    'a.yaml': `# two documents\n---\n${serviceYaml('a', 1)}---\n${serviceYaml('b', 2)}`,
    'b.json': JSON.stringify({ apiVersion: 'v1', kind: 'List', items: [item] }),
    'c.yml': JSON.stringify({
      apiVersion: 'v1',
      kind: 'ServiceList',
      items: [{ ...bare, metadata: { name: 'd', namespace: 'shop' } }],
    }),
    'd.yaml': `apiVersion: v1
kind: List
items:
- apiVersion: discovery.k8s.io/v1
  kind: EndpointSlice
  metadata:
    name: a-1
    labels: {kubernetes.io/service-name: a}
  addressType: IPv4
  ports: [{port: 8080}]
  endpoints:
  - addresses: [10.1.0.1]
- apiVersion: v1
  kind: Endpoints
  metadata: {name: b}
  subsets:
  - addresses: [{ip: 10.1.0.2}]
    ports: [{port: 8080}]
- {apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: mine}, addressType: IPv4, endpoints: []}
- {apiVersion: apps/v1, kind: Deployment, metadata: {name: a}}
- {apiVersion: serving.knative.dev/v1, kind: Service, metadata: {name: other}}
`,
    'notes.txt': 'not read',
    '.hidden.yaml': 'not: read',
    'sub.yaml': { 'e.yaml': serviceYaml('e') },
  });
  const harness = new ManifestHarness(t, [dir]);
  await harness.start();
  t.same([...harness.now.services.keys()], ['default/a', 'default/b', 'default/c', 'shop/d']);
  t.same([...harness.now.slices.keys()], ['default/a-1', 'default/b/0/IPv4']);
  t.same(harness.problems, []);
  const ignored = harness.lines.filter(({ kinds }) => kinds);
  t.same(
    ignored.map(({ kinds }) => kinds),
    [
      [
        'discovery.k8s.io/v1 EndpointSlice without the label kubernetes.io/service-name',
        'apps/v1 Deployment',
        'serving.knative.dev/v1 Service',
      ],
    ],
  );
});

t.test('UTF-16 files are read, as PowerShell writes them', async (t) => {
  const encoded = (name: string, encoding: 'utf16le' | 'utf8', mark: string, comment = '') =>
    Buffer.from(`${mark}${comment}${serviceYaml(name)}`.replaceAll('\n', '\r\n'), encoding);
  const dir = t.testdir({
    'a.yaml': encoded('a', 'utf16le', '\ufeff'),
    'b.yaml': encoded('b', 'utf16le', '\ufeff').swap16(),
    'c.yaml': encoded('c', 'utf16le', ''),
    'd.yaml': encoded('d', 'utf16le', '').swap16(),
    'e.yaml': encoded('e', 'utf8', '\ufeff'),
    'f.json': Buffer.from(`\ufeff{"apiVersion": "v1", "kind": "List", "items": []}`, 'utf16le'),
    'large.yaml': encoded('large', 'utf16le', '\ufeff', `# ${'x'.repeat(200_000)}\n`),
  });
  const harness = new ManifestHarness(t, [dir]);
  await harness.start();
  t.same(harness.problems, []);
  t.same(harness.services, ['a:80', 'b:80', 'c:80', 'd:80', 'e:80', 'large:80']);
});

/** A Service as `kubectl get -o json` prints it. */
function serviceJson(name: string): string {
  const spec = { clusterIP: '10.96.0.10', ports: [{ port: 80 }] };
  const metadata = { name, annotations: { note: 'a "quoted" } and \\' } };
  return `${JSON.stringify({ apiVersion: 'v1', kind: 'Service', metadata, spec }, null, 4)}\n`;
}

t.test('JSON objects one after the other are read: `kubectl get -o json >> file`', async (t) => {
  const lines = serviceJson('a').split('\n').length - 1;
  const dir = t.testdir({
    'a.json': serviceJson('a') + serviceJson('b'),
    'b.json': `# first\n---\n${serviceJson('c').replaceAll('\n', '')}${serviceJson('d')}`,
    'c.json': `${serviceJson('e')}${serviceJson('f').replace('80', '08')}${serviceJson('g').slice(0, -4)}`,
    'd.yaml': "{apiVersion: v1, kind: Service, metadata: {name: '}{'}}",
  });
  const harness = new ManifestHarness(t, [dir]);
  await harness.start();
  t.same(harness.services, ['a:80', 'b:80', 'c:80', 'd:80', 'e:80']);
  const reason =
    'not readable as YAML or JSON: this is not valid JSON, and JSON objects are beside it; correct it, or put --- between YAML documents';
  t.same(harness.problems, [
    `c.json, document 2: document: ${reason} (line ${lines + 1})`,
    `c.json, document 3: document: ${reason} (line ${2 * lines + 1})`,
    `d.yaml, document 1: Service without a name: metadata.name: "}{" is not a DNS name (lower-case letters, digits, '-' and '.', at most 253)`,
  ]);
});

t.test('a number with a leading zero is octal, as for kubectl', async (t) => {
  const dir = t.testdir({
    'a.yaml': serviceYaml('a').replace('80', '0120'),
    'b.yaml': serviceYaml('b').replace('80', '0o120'),
    'c.yaml': serviceYaml('c').replace('80', '089'),
  });
  const harness = new ManifestHarness(t, [dir]);
  await harness.start();
  t.same(harness.services, ['a:80', 'b:80', 'c:89']);
});
