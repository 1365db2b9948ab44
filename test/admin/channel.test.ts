import { existsSync, lstatSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { AdminChannel, removeAdminSocket } from '../../lib/admin/channel.js';
import { askAdmin } from '../../lib/admin/client.js';
import { adminDirectory, adminSocket } from '../../lib/admin/place.js';
import { askRunning } from '../../lib/cli/ask-admin.js';
import { UsageError } from '../../lib/cli/usage-error.js';
import { json } from '../../lib/server/answer.js';
import { Connections } from '../../lib/server/connections.js';
import { BadQuery } from '../../lib/server/query.js';
import type { Routes } from '../../lib/server/route.js';
import { runOrThrow } from '../lab/program.js';
import { notMachineRoot } from '../lab/rights.js';
import { listening } from '../state/listening.js';

const ROUTES: Routes = {
  '/v1/echo': ({ query }) => json({ said: query.get('say') }),
  'DELETE /v1/echo': ({ method }) => json({ method }),
  '/v1/picky': () => {
    throw new BadQuery('say: nothing is allowed');
  },
  '/v1/broken': () => {
    throw new Error('no such luck');
  },
};

function directoryFor(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), 'kube-portal-admin-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

async function openIn(t: Test, stateDir: string) {
  const { log, troubles } = listening();
  const connections = new Connections({ maxOpen: 4, idleMs: 60_000 });
  const channel = await AdminChannel.open({ stateDir, routes: ROUTES, connections, version: '7.8.9', log });
  t.teardown(() => channel?.close());
  return { channel, troubles };
}

t.test('answers over a socket that is private to root, and removes it at the end', async (t) => {
  const stateDir = directoryFor(t);
  const { channel } = await openIn(t, stateDir);
  t.equal(statSync(adminDirectory(stateDir)).mode & 0o7777, 0o700);
  t.equal(statSync(adminSocket(stateDir)).mode & 0o7777, 0o600);
  t.same(await askRunning({ stateDir }, '/v1/echo?say=hello'), { said: 'hello' });
  t.same(await askRunning({ stateDir }, '/v1/echo', 'DELETE'), { method: 'DELETE' });
  t.equal((await askAdmin(stateDir, 'GET', '/v1/echo')).server, 'kube-portal/7.8.9');
  await channel?.close();
  t.notOk(existsSync(adminDirectory(stateDir)));
});

t.test('what is wrong is said', async (t) => {
  const stateDir = directoryFor(t);
  await t.rejects(
    askRunning({ stateDir }, '/v1/echo'),
    /no kube-portal runs with --state-dir .* is not there/,
  );
  await openIn(t, stateDir);
  await t.rejects(askRunning({ stateDir }, '/v1/picky'), new UsageError('say: nothing is allowed'));
  await t.rejects(askRunning({ stateDir }, '/v1/broken'), /kube-portal of this node failed: no such luck/);
  for (const [path, method] of [
    ['/v2/echo', 'GET'],
    ['/v1/picky', 'DELETE'],
  ] as const) {
    await t.rejects(
      askRunning({ stateDir }, path, method),
      /kube-portal\/7\.8\.9 runs on this node and does not know this request of kube-portal\/\d/,
    );
  }
});

t.test('the socket of a killed run is replaced', async (t) => {
  const stateDir = directoryFor(t);
  mkdirSync(adminDirectory(stateDir), { mode: 0o755 });
  // A server that does not remove its socket, as a process that is killed.
  const program = `require('net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))`;
  await runOrThrow([
    'sh',
    '-c',
    `"$0" -e "$1" "$2" || true`,
    process.execPath,
    program,
    adminSocket(stateDir),
  ]);
  t.ok(lstatSync(adminSocket(stateDir)).isSocket());
  await t.rejects(askRunning({ stateDir }, '/v1/echo'), /was left by one that was killed/);
  await openIn(t, stateDir);
  t.same(await askRunning({ stateDir }, '/v1/echo?say=1'), { said: '1' });
  t.equal(statSync(adminDirectory(stateDir)).mode & 0o7777, 0o700, 'the directory is private again');
});

t.test('without a channel the log says why', async (t) => {
  const long = join(directoryFor(t), 'x'.repeat(100));
  mkdirSync(long);
  const linked = directoryFor(t);
  symlinkSync(directoryFor(t), adminDirectory(linked));
  for (const [stateDir, reason] of [
    [long, /longer than the 107 bytes/],
    [linked, /ENOTDIR|ELOOP/],
    ['/proc', /ENOENT/],
  ] as const) {
    const { channel, troubles } = await openIn(t, stateDir);
    t.equal(channel, null);
    t.match(troubles, [/cannot open the admin channel in --state-dir/]);
    t.match(troubles[0], reason);
  }
});

t.test('what a killed run left can be removed', async (t) => {
  const stateDir = directoryFor(t);
  mkdirSync(adminDirectory(stateDir));
  const server = createServer().listen(adminSocket(stateDir));
  await removeAdminSocket(stateDir);
  t.notOk(existsSync(adminDirectory(stateDir)));
  await removeAdminSocket(stateDir);
  server.close();
});

t.test('other users cannot open the socket', { skip: notMachineRoot }, async (t) => {
  const stateDir = directoryFor(t);
  await openIn(t, stateDir);
  await runOrThrow(['chmod', '755', stateDir]);
  const client = new URL('../../lib/admin/client.js', import.meta.url);
  const program = `
    const { askAdmin } = await import(${JSON.stringify(client.href)});
    process.setuid(65534);
    await askAdmin(${JSON.stringify(stateDir)}, 'GET', '/v1/echo').catch((error) => console.log(error.message));
  `;
  const said = await runOrThrow([process.execPath, '--input-type=module', '-e', program]);
  t.match(said, /only root may open .*socket: run this command as root/);
});
