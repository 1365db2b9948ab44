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
import t from 'tap';
import { ManifestHarness, serviceYaml } from './manifest-harness.js';

t.setTimeout(0);

t.test('a change in a file changes its Service and no other', async (t) => {
  const dir = t.testdir({ 'a.yaml': `${serviceYaml('a')}---\n${serviceYaml('b')}` });
  const harness = new ManifestHarness(t, [dir]);
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
  const harness = new ManifestHarness(t, [dir]);
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
  const whole = new ManifestHarness(t, [dir]);
  const single = new ManifestHarness(t, [join(dir, 'b.yaml')]);
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
  const harness = new ManifestHarness(t, [file]);
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
  const harness = new ManifestHarness(t, [dir]);
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
  const harness = new ManifestHarness(t, [dir]);
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
  const harness = new ManifestHarness(t, [dir]);
  await harness.start();
  const text = readFileSync(join(dir, 'a.yaml'), 'utf8');
  writeFileSync(join(dir, 'a.yaml'), `# a comment\n${text}`);
  chmodSync(join(dir, 'a.yaml'), 0o600);
  writeFileSync(join(dir, 'b.yaml'), 'rubbish');
  await harness.until(() => harness.problems.length === 1);
  t.equal(harness.states.length, 1);
});
