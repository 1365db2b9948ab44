import { execFileSync } from 'node:child_process';
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { ManifestError } from '../../lib/sources/manifest-problem.js';
import { ManifestHarness, serviceYaml } from './manifest-harness.js';

t.setTimeout(0);

t.test('the start fails if a path cannot be read, but not if a directory is empty', async (t) => {
  const dir = t.testdir({});
  const missing = new ManifestHarness(t, [join(dir, 'missing.yaml')]);
  await t.rejects(missing.start(), ManifestError);
  await t.rejects(missing.start(), {
    message: `cannot read manifest ${join(dir, 'missing.yaml')}: ENOENT: no such file or directory; check the path given to --manifest`,
  });
  const empty = new ManifestHarness(t, [dir]);
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
    const harness = new ManifestHarness(t, [t.testdir({ 'm.yaml': text })]);
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
    const harness = new ManifestHarness(t, [dir]);
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

t.test('a FIFO or a device is named in a message, and nothing waits for it', async (t) => {
  const dir = t.testdir({ 'a.yaml': serviceYaml('a') });
  const file = join(dir, 'a.yaml');
  const fifo = join(dir, 'fifo');
  execFileSync('mkfifo', [fifo]);
  await t.rejects(new ManifestHarness(t, [fifo]).start(), {
    name: 'ManifestError',
    message: /fifo: it is a FIFO and neither a file nor a directory; check the path given to --manifest/,
  });
  await t.rejects(new ManifestHarness(t, ['/dev/zero']).start(), { message: /it is a device and neither/ });
  const harness = new ManifestHarness(t, [file]);
  await harness.start();
  renameSync(fifo, file);
  await harness.until(() => harness.problems.length === 1);
  t.match(harness.problems, [/^a\.yaml: file: cannot be read: it is a FIFO/]);
  t.same(harness.services, ['a:80']);
});
