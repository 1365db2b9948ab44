import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { ManifestHarness, serviceYaml } from './manifest-harness.js';

t.setTimeout(0);

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
  const harness = new ManifestHarness(t, [file]);
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
  const harness = new ManifestHarness(t, [join(t.testdir({ 'a.json': text }), 'a.json')]);
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
  const harness = new ManifestHarness(t, [join(t.testdir({ 'a.yaml': yaml }), 'a.yaml')]);
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
  const harness = new ManifestHarness(t, [join(t.testdir({ 'a.yaml': yaml }), 'a.yaml')]);
  await harness.start();
  t.match(harness.problems, [
    /^a\.yaml, document 1: .*too long for YAML: the document has 18 MiB, and 16 MiB are allowed; write JSON/,
  ]);
  t.same(harness.services, ['b:80']);
});

t.test('a file may have any number of bad documents', async (t) => {
  const text = '---\n{"a": 1}\n'.repeat(200_000);
  const harness = new ManifestHarness(t, [join(t.testdir({ 'a.yaml': text }), 'a.yaml')]);
  await harness.start();
  t.equal(harness.source.problems.length, 200_000);
});

t.test('a directory may have very many files, and the log stays short', async (t) => {
  const dir = t.testdir({});
  for (let i = 0; i < 1000; i++) {
    writeFileSync(join(dir, `c${i}.yaml`), `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c${i}}\n`);
  }
  writeFileSync(join(dir, 'z.yaml'), serviceYaml('a'));
  const harness = new ManifestHarness(t, [dir]);
  await harness.start();
  t.same(harness.services, ['a:80']);
  t.equal(harness.lines.length, 101);
  t.match(harness.lines.at(-1), { more: 900, msg: 'more files have objects of kinds that are not used' });
  writeFileSync(join(dir, 'z.yaml'), serviceYaml('a', 81));
  await harness.until(() => harness.services.join() === 'a:81');
});
