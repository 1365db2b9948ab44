import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { StateDir } from '../../lib/state/statedir.js';
import { mappingOf, StateFile, StateMemory } from '../../lib/state/statefile.js';
import { notMachineRoot } from '../lab/rights.js';
import { sh } from '../redirect/namespace.js';
import { listening } from './listening.js';

const directory = mkdtempSync(join(tmpdir(), 'kube-portal-state-'));
t.teardown(() => rmSync(directory, { recursive: true }));

t.test('kube-portal starts if the disk of the state directory is full or read-only', async (t) => {
  const small = join(directory, 'read-only');
  mkdirSync(small);
  sh(`mount -t tmpfs -o mode=755 none ${small} && mkdir ${small}/here && mount -o remount,bind,ro ${small}`);
  for (const name of ['here', 'not-yet', 'not/yet/either']) {
    const { log, troubles } = listening();
    await StateDir.open(join(small, name), log);
    t.match(
      troubles,
      [/--state-dir .* cannot be written now; kube-portal serves without saved state: EROFS/],
      name,
    );
  }
  sh(`umount ${small}`);
});

t.test('a warning names a state directory that other users may write to', async (t) => {
  const shared = join(directory, 'shared');
  mkdirSync(shared);
  chmodSync(shared, 0o1777);
  const { log, troubles } = listening();
  await StateDir.open(shared, log);
  t.match(troubles, [/users other than root may write to --state-dir .*shared; .*chmod 755/]);
});

const STAKES = { what: 'the proxy ports', loss: 'others may be chosen' };

t.test('a state file that cannot be used is named in a warning, and replaced', async (t) => {
  const bystander = join(directory, 'bystander');
  writeFileSync(bystander, '{"a": 1}');
  const file = new StateFile(directory, 'ports.json');
  const cases: Record<string, [make: () => void, says: RegExp]> = {
    'no JSON': [() => writeFileSync(file.path, '{"a"'), /JSON/],
    'a list': [() => writeFileSync(file.path, '[1]'), /it is not a JSON object/],
    'a number': [() => writeFileSync(file.path, '1'), /it is not a JSON object/],
    null: [() => writeFileSync(file.path, 'null'), /it is not a JSON object/],
    'a link': [() => symlinkSync(bystander, file.path), /it is a symbolic link that cannot be followed here/],
    'a link to nothing': [() => symlinkSync('/no/such/file', file.path), /it is a symbolic link/],
    'a FIFO': [() => sh(`mkfifo ${file.path}`), /it is a FIFO and not a file/],
    'a device': [() => sh(`mknod ${file.path} c 1 5`), /it is a device and not a file/],
    '32 MB': [
      () => writeFileSync(file.path, Buffer.alloc(32 << 20, ' ')),
      /it has 32 MiB; at most 16 MiB are allowed/,
    ],
  };
  for (const [what, [make, says]] of Object.entries(cases)) {
    if (what === 'a device' && notMachineRoot) {
      t.pass(what, { skip: notMachineRoot });
      continue;
    }
    rmSync(file.path, { force: true });
    make();
    const { log, troubles } = listening();
    const memory = new StateMemory(file, log, STAKES);
    t.equal(await memory.recall(mappingOf), null, what);
    t.match(troubles, [says]);
    t.ok(troubles[0]!.startsWith(`${file.path} cannot be used`), 'names the file');
    t.ok(await memory.keep({ a: 2 }));
    t.ok(lstatSync(file.path).isFile());
    t.same(await memory.recall(mappingOf), { a: 2 });
    t.equal(readFileSync(bystander, 'utf8'), '{"a": 1}');
  }
});

t.test('a failure to write is logged once, and its end is logged once', async (t) => {
  const { log, troubles } = listening();
  const file = new StateFile(join(directory, 'in-the-way'), 'ports.json');
  const memory = new StateMemory(file, log, STAKES);
  t.equal(await memory.recall(mappingOf), null);
  writeFileSync(join(directory, 'in-the-way'), '');
  t.equal(await memory.recall(mappingOf), null);
  t.notOk(await memory.keep({}));
  t.notOk(await memory.keep({}));
  t.match(troubles, [
    /cannot remember the proxy ports in --state-dir .*in-the-way: kube-portal goes on, but others may be/,
  ]);
  rmSync(join(directory, 'in-the-way'));
  t.ok(await memory.keep({}));
  t.ok(await memory.keep({}));
  t.match(troubles.slice(1), [/^info: .*ports\.json can be written again$/]);
  await memory.forget();
  t.notOk(existsSync(file.path));
  mkdirSync(file.path);
  await memory.forget();
  t.match(troubles.slice(2), [/cannot remove .*ports\.json; a file that stays does no harm/]);
});

t.test('one process at a time has the state directory', async (t) => {
  const { log } = listening();
  const path = join(directory, 'taken');
  const first = await StateDir.open(path, log);
  await t.rejects(StateDir.open(path, log), /--state-dir .*taken is in use by another kube-portal; stop it/);
  first.release();
  const second = await StateDir.open(path, log);
  second.release();
});
