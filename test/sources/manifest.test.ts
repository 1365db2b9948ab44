import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import type { ObjectSet } from '../../lib/model/objects.js';
import { ManifestSource } from '../../lib/sources/manifest.js';
import { describeManifestProblem, ManifestError } from '../../lib/sources/manifest-problem.js';

t.setTimeout(0);

const QUICK = { debounceMs: 10, maxDelayMs: 100, pollMs: 50 };

function serviceYaml(name: string, port = 80, address = '10.96.0.10'): string {
  return `apiVersion: v1
kind: Service
metadata:
  name: ${name}
spec:
  clusterIP: ${address}
  ports:
  - port: ${port}
`;
}

/** A source under test, with the states it delivered and the lines it logged. */
class Harness {
  readonly lines: Record<string, unknown>[] = [];
  readonly states: ObjectSet[] = [];
  readonly source: ManifestSource;
  #wake = () => {};

  constructor(t: Test, paths: string[]) {
    const log = pino({ level: 'debug' }, { write: (line: string) => void this.lines.push(JSON.parse(line)) });
    this.source = new ManifestSource(paths, log, QUICK);
    t.teardown(() => this.source.stop());
  }

  start(): Promise<void> {
    return this.source.start((objects) => {
      this.states.push(objects);
      this.#wake();
    });
  }

  get now(): ObjectSet {
    return this.states.at(-1)!;
  }

  /** Names and first ports of the Services at present. */
  get services(): string[] {
    return [...this.now.services.values()].map(({ name, ports }) => `${name}:${ports[0]!.port}`).sort();
  }

  /** Problems with file names cut down to their last part. */
  get problems(): string[] {
    return this.source.problems.map((problem) => describeManifestProblem(problem).replaceAll(/\/\S*\//g, ''));
  }

  /** Waits until `condition` is true. There is no time limit of its own. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        setTimeout(resolve, 20);
      });
    }
  }
}

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
  const harness = new Harness(t, [dir]);
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

t.test('the start fails if a path cannot be read, but not if a directory is empty', async (t) => {
  const dir = t.testdir({});
  const missing = new Harness(t, [join(dir, 'missing.yaml')]);
  await t.rejects(missing.start(), ManifestError);
  await t.rejects(missing.start(), {
    message: `cannot read manifest ${join(dir, 'missing.yaml')}: ENOENT: no such file or directory; check the path given to --manifest`,
  });
  const empty = new Harness(t, [dir]);
  await empty.start();
  t.equal(empty.now.services.size, 0);
  t.match(empty.lines[0], { level: 40, path: dir });
  writeFileSync(join(dir, 'a.yaml'), serviceYaml('a'));
  await empty.until(() => empty.now.services.size === 1);
});

const good = serviceYaml('good');
const malformed: Record<string, { text: string; says: string; served?: string[] }> = {
  'broken YAML': {
    text: `a: "b\n---\n${good}`,
    says: 'm.yaml, document 1: document: not readable as YAML or JSON: Missing closing "quote (line 2, column 1)',
  },
  'broken YAML in the second document': {
    text: `${good}---\nkind: [Service\n---\n${serviceYaml('last')}`,
    says: 'm.yaml, document 2: document: not readable as YAML or JSON: Flow sequence in block collection must be sufficiently indented and end with a ] (line 11, column 1)',
    served: ['good:80', 'last:80'],
  },
  'tabs as indentation': {
    text: `${good}---\nspec:\n\tports: 1\n`,
    says: 'm.yaml, document 2: document: not readable as YAML or JSON: Tabs are not allowed as indentation (line 11, column 1)',
  },
  'duplicate keys': {
    text: `${good}---\nkind: Service\nkind: Service\n`,
    says: 'm.yaml, document 2: document: not readable as YAML or JSON: Map keys must be unique (line 11, column 1)',
  },
  'alias bomb': {
    text: `${good}---\na0: &a0 [x,x]\n${Array.from({ length: 20 }, (_, i) => `a${i + 1}: &a${i + 1} [*a${i},*a${i}]\n`).join('')}`,
    says: 'm.yaml, document 2: document: not readable as YAML or JSON: Excessive alias count indicates a resource exhaustion attack',
  },
  'endless nesting': {
    text: `${good}---\n${'['.repeat(100_000)}`,
    says: 'm.yaml, document 2: document: not readable as YAML or JSON: nested deeper than 100 levels',
  },
  'not an object': {
    text: `${good}---\njust text\n`,
    says: 'm.yaml, document 2: document: not a Kubernetes object: apiVersion and kind are missing',
  },
  'no kind': {
    text: `${good}---\napiVersion: v1\nmetadata: {name: a}\n`,
    says: 'm.yaml, document 2: document: not a Kubernetes object: apiVersion and kind are missing',
  },
  'no name': {
    text: `${good}---\napiVersion: v1\nkind: Service\nspec: {}\n`,
    says: 'm.yaml, document 2: Service without a name: metadata.name: missing',
  },
  'bad port': {
    text: `${good}---\n${serviceYaml('bad', 70000)}`,
    says: 'm.yaml, document 2: Service default/bad: spec.ports[0].port: 70000 is not a port (1-65535)',
  },
  'bad address': {
    text: `${good}---\n${serviceYaml('bad', 80, '10.96.0.1000')}`,
    says: 'm.yaml, document 2: Service default/bad: spec.clusterIP: "10.96.0.1000" is not the IP address of a host',
  },
  'bad list': {
    text: `${good}---\napiVersion: v1\nkind: List\nitems: {}\n`,
    says: 'm.yaml, document 2: document: items is not a list',
  },
  'bad list item': {
    text: `${good}---\napiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: Deploymint}, {apiVersion: v1, kind: Service, metadata: 1}]\n`,
    says: 'm.yaml, document 2, item 2: Service without a name: metadata: 1 is not a mapping',
  },
  'defined twice': {
    text: `${good}---\n${serviceYaml('good', 81)}`,
    says: 'm.yaml, document 2: Service default/good: already defined in m.yaml, document 1; this definition is ignored, remove one of the two',
  },
  'old EndpointSlice version': {
    text: `${good}---\napiVersion: discovery.k8s.io/v1beta1\nkind: EndpointSlice\n`,
    says: 'm.yaml, document 2: document: EndpointSlice of apiVersion discovery.k8s.io/v1beta1 is not supported; use discovery.k8s.io/v1',
  },
  'binary rubbish': {
    text: `${good}---\n\u0000\u0001\ufffd`,
    says: 'm.yaml, document 2: document: not a Kubernetes object: apiVersion and kind are missing',
  },
  'empty file': { text: ' \n', says: 'm.yaml: file: the file is empty', served: [] },
};

t.test('a malformed document is named, and the good documents are served', async (t) => {
  for (const [how, { text, says, served }] of Object.entries(malformed)) {
    const harness = new Harness(t, [t.testdir({ 'm.yaml': text })]);
    await harness.start();
    t.same(harness.problems, [says], how);
    t.same(harness.services, served ?? ['good:80'], how);
    const errors = harness.lines.filter(({ level }) => level === 50);
    t.equal(errors.length, 1, `${how}: logged once`);
    await harness.source.stop();
  }
});

t.test('if a document becomes malformed later, its last good version stays', async (t) => {
  const dir = t.testdir({ 'm.yaml': '' });
  const file = join(dir, 'm.yaml');
  for (const [how, { text, says }] of Object.entries(malformed)) {
    writeFileSync(file, `${good}---\n${serviceYaml('bad', 81)}`);
    const harness = new Harness(t, [dir]);
    await harness.start();
    writeFileSync(file, text);
    await harness.until(() => harness.problems.join().startsWith(says));
    await harness.source.stop();
    const replaced = how === 'defined twice';
    const expected = replaced ? ['good:80'] : ['bad:81', 'good:80'];
    t.same(
      harness.services.filter((name) => !name.startsWith('last')),
      expected,
      how,
    );
  }
});

t.test('a change in a file changes its Service and no other', async (t) => {
  const dir = t.testdir({ 'a.yaml': `${serviceYaml('a')}---\n${serviceYaml('b')}` });
  const harness = new Harness(t, [dir]);
  await harness.start();
  const before = harness.now;
  writeFileSync(join(dir, 'a.yaml'), `${serviceYaml('a')}---\n${serviceYaml('b', 81)}`);
  await harness.until(() => harness.services.includes('b:81'));
  t.equal(harness.now.services.get('default/a'), before.services.get('default/a'));
  t.not(harness.now.services.get('default/b'), before.services.get('default/b'));
  appendFileSync(join(dir, 'a.yaml'), `---\n${serviceYaml('c')}`);
  await harness.until(() => harness.services.includes('c:80'));
  t.equal(harness.now.services.get('default/a'), before.services.get('default/a'));
});

t.test('files may be added, replaced by rename, and removed', async (t) => {
  const dir = t.testdir({ 'a.yaml': serviceYaml('a') });
  const at = (name: string) => join(dir, name);
  const harness = new Harness(t, [dir]);
  await harness.start();
  writeFileSync(at('b.yaml'), serviceYaml('b'));
  await harness.until(() => harness.services.join() === 'a:80,b:80');
  writeFileSync(at('.a.yaml.tmp'), serviceYaml('a', 81));
  renameSync(at('.a.yaml.tmp'), at('a.yaml'));
  await harness.until(() => harness.services.join() === 'a:81,b:80');
  unlinkSync(at('a.yaml'));
  await harness.until(() => harness.services.join() === 'b:80');
  writeFileSync(at('a.yaml'), serviceYaml('a', 82));
  await harness.until(() => harness.services.join() === 'a:82,b:80');
});

t.test('a ConfigMap mount is followed when its ..data link changes', async (t) => {
  const dir = t.testdir({});
  const publish = (version: string, port: number) => {
    mkdirSync(join(dir, version));
    for (const name of ['a', 'b']) writeFileSync(join(dir, version, `${name}.yaml`), serviceYaml(name, port));
    symlinkSync(version, join(dir, '..data_tmp'));
    renameSync(join(dir, '..data_tmp'), join(dir, '..data'));
  };
  publish('..2026_01', 80);
  for (const name of ['a.yaml', 'b.yaml']) symlinkSync(`..data/${name}`, join(dir, name));
  const whole = new Harness(t, [dir]);
  const single = new Harness(t, [join(dir, 'b.yaml')]);
  await whole.start();
  await single.start();
  t.same(whole.services, ['a:80', 'b:80']);
  publish('..2026_02', 81);
  await whole.until(() => whole.services.join() === 'a:81,b:81');
  await single.until(() => single.services.join() === 'b:81');
  rmSync(join(dir, '..2026_01'), { recursive: true });
  t.same(whole.problems, []);
});

t.test('if a file of --manifest is removed, its objects stay until it is back', async (t) => {
  const file = join(t.testdir({ services: serviceYaml('a') }), 'services');
  const harness = new Harness(t, [file]);
  await harness.start();
  unlinkSync(file);
  await harness.until(() => harness.problems.length === 1);
  t.same(harness.problems, [
    'services: file: cannot be read: ENOENT: no such file or directory; its last good objects stay in service',
  ]);
  t.same(harness.services, ['a:80']);
  writeFileSync(file, serviceYaml('a', 81));
  await harness.until(() => harness.services.join() === 'a:81');
  t.same(harness.problems, []);
});

t.test('if a directory of --manifest is removed, its objects stay until it is back', async (t) => {
  const dir = join(t.testdir({ d: { 'a.yaml': serviceYaml('a') } }), 'd');
  const harness = new Harness(t, [dir]);
  await harness.start();
  renameSync(dir, `${dir}.away`);
  await harness.until(() => harness.problems.length === 1);
  t.same(harness.problems, ['d: file: cannot be read: ENOENT: no such file or directory']);
  t.same(harness.services, ['a:80']);
  mkdirSync(dir);
  writeFileSync(join(dir, 'b.yaml'), serviceYaml('b'));
  await harness.until(() => harness.services.join() === 'b:80');
  t.same(harness.problems, []);
});

t.test('an object that stays in service still wins over a second definition', async (t) => {
  const dir = t.testdir({ 'a.yaml': serviceYaml('x', 80), 'b.yaml': serviceYaml('x', 81) });
  const harness = new Harness(t, [dir]);
  await harness.start();
  t.same(harness.services, ['x:80']);
  writeFileSync(join(dir, 'a.yaml'), serviceYaml('x', 0));
  await harness.until(() => harness.problems.length === 2);
  t.same(harness.services, ['x:80']);
  unlinkSync(join(dir, 'a.yaml'));
  await harness.until(() => harness.services.join() === 'x:81');
  t.same(harness.problems, []);
});

t.test('an unchanged state is not delivered again', async (t) => {
  const dir = t.testdir({ 'a.yaml': serviceYaml('a') });
  const harness = new Harness(t, [dir]);
  await harness.start();
  const text = readFileSync(join(dir, 'a.yaml'), 'utf8');
  writeFileSync(join(dir, 'a.yaml'), `# a comment\n${text}`);
  chmodSync(join(dir, 'a.yaml'), 0o600);
  writeFileSync(join(dir, 'b.yaml'), 'rubbish');
  await harness.until(() => harness.problems.length === 1);
  t.equal(harness.states.length, 1);
});

/** The text of so many Services, each in its own document. */
function manyServices(count: number): string {
  const documents = Array.from({ length: count }, (_, i) =>
    serviceYaml(`s${i}`, 80, `10.97.${i >> 8}.${i & 255}`),
  );
  return documents.join('---\n');
}

/** Counts the turns of the event loop. @returns a function that ends the count and gives it */
function countTurns(): () => number {
  let turns = 0;
  let isOver = false;
  const turn = () => {
    turns++;
    if (!isOver) setImmediate(turn);
  };
  turn();
  return () => {
    isOver = true;
    return turns;
  };
}

t.test('while a large file is read, the event loop goes on', async (t) => {
  const file = join(t.testdir({ 'a.yaml': manyServices(4000) }), 'a.yaml');
  const harness = new Harness(t, [file]);
  const turns = countTurns();
  await harness.start();
  t.ok(turns() > 200, 'turns of the event loop');
  t.equal(harness.now.services.size, 4000);
  writeFileSync(file, manyServices(4000).replace('port: 80', 'port: "80"'));
  await harness.until(() => harness.problems.length === 1);
  t.match(harness.problems, [
    /^a\.yaml, document 1: Service default\/s0: spec\.ports\[0\]\.port: "80" is not a port/,
  ]);
  t.equal(harness.now.services.size, 4000, 'its last good version stays');
  writeFileSync(file, `${manyServices(4000)}---\n${serviceYaml('last')}`);
  await harness.until(() => harness.now.services.size === 4001);
  t.same(harness.problems, []);
});

t.test('a large list gives the same objects and problems as a small one', async (t) => {
  const items = Array.from({ length: 2500 }, (_, i) => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: `s${i}`, annotations: { filler: 'x'.repeat(8000) } },
    spec: { clusterIP: '10.96.0.10', ports: [{ port: i % 2 === 0 ? 80 : 0 }] },
  }));
  const text = JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
  t.ok(text.length > 17 << 20);
  const harness = new Harness(t, [join(t.testdir({ 'a.json': text }), 'a.json')]);
  await harness.start();
  t.equal(harness.now.services.size, 1250);
  t.equal(harness.problems.length, 1250);
  t.match(
    harness.problems.at(-1),
    /^a\.json, document 1, item 2500: Service default\/s2499: spec\.ports\[0\]\.port: 0/,
  );
  const logged = harness.lines.filter(({ level }) => level === 50);
  t.equal(logged.length, 101);
  t.match(logged.at(-1), { more: 1150, msg: 'more documents cannot be used' });
});

t.test('stop ends the reading of a large file', async (t) => {
  const yaml = `apiVersion: v1\nkind: List\nitems:\n${'- [a, b, c, d, e, f, g, h]\n'.repeat(400_000)}`;
  const harness = new Harness(t, [join(t.testdir({ 'a.yaml': yaml }), 'a.yaml')]);
  const started = harness.start();
  const hasThread = () => process.getActiveResourcesInfo().includes('MessagePort');
  while (!hasThread()) await new Promise((resolve) => setImmediate(resolve));
  await harness.source.stop();
  await started;
  t.notOk(hasThread(), 'the thread has ended');
  t.same(harness.states, []);
  t.same(harness.lines, []);
});

t.test('YAML that is too long is refused, and the message says what to do', async (t) => {
  const yaml = `apiVersion: v1\nkind: Service\ndata: ${'x'.repeat(17 << 20)}\n---\n${serviceYaml('b')}`;
  const harness = new Harness(t, [join(t.testdir({ 'a.yaml': yaml }), 'a.yaml')]);
  await harness.start();
  t.match(harness.problems, [
    /^a\.yaml, document 1: .*too long for YAML: the document has 18 MiB, and 16 MiB are allowed; write JSON/,
  ]);
  t.same(harness.services, ['b:80']);
});

t.test('a file may have any number of bad documents', async (t) => {
  const text = '---\n{"a": 1}\n'.repeat(200_000);
  const harness = new Harness(t, [join(t.testdir({ 'a.yaml': text }), 'a.yaml')]);
  await harness.start();
  t.equal(harness.source.problems.length, 200_000);
});

t.test('a FIFO or a device is named in a message, and nothing waits for it', async (t) => {
  const dir = t.testdir({ 'a.yaml': serviceYaml('a') });
  const file = join(dir, 'a.yaml');
  const fifo = join(dir, 'fifo');
  execFileSync('mkfifo', [fifo]);
  await t.rejects(new Harness(t, [fifo]).start(), {
    name: 'ManifestError',
    message: /fifo: it is a FIFO and neither a file nor a directory; check the path given to --manifest/,
  });
  await t.rejects(new Harness(t, ['/dev/zero']).start(), { message: /it is a device and neither/ });
  const harness = new Harness(t, [file]);
  await harness.start();
  renameSync(fifo, file);
  await harness.until(() => harness.problems.length === 1);
  t.match(harness.problems, [/^a\.yaml: file: cannot be read: it is a FIFO/]);
  t.same(harness.services, ['a:80']);
});

t.test('a directory may have very many files, and the log stays short', async (t) => {
  const dir = t.testdir({});
  for (let i = 0; i < 1000; i++) {
    writeFileSync(join(dir, `c${i}.yaml`), `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c${i}}\n`);
  }
  writeFileSync(join(dir, 'z.yaml'), serviceYaml('a'));
  const harness = new Harness(t, [dir]);
  await harness.start();
  t.same(harness.services, ['a:80']);
  t.equal(harness.lines.length, 101);
  t.match(harness.lines.at(-1), { more: 900, msg: 'more files have objects of kinds that are not used' });
  writeFileSync(join(dir, 'z.yaml'), serviceYaml('a', 81));
  await harness.until(() => harness.services.join() === 'a:81');
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
  const harness = new Harness(t, [dir]);
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
  const harness = new Harness(t, [dir]);
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
  const harness = new Harness(t, [dir]);
  await harness.start();
  t.same(harness.services, ['a:80', 'b:80', 'c:89']);
});
