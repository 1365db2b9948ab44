import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { listOf, service } from '../lab/manifest.js';
import { Program } from '../lab/program.js';
import { sh } from '../redirect/namespace.js';

const BIN = fileURLToPath(new URL('../../../bin/kube-portal', import.meta.url));
/** Each of them is a line of the log. */
const REFUSED = 100;

t.setTimeout(0);

const root = mkdtempSync(join(tmpdir(), 'kube-portal-stuck-'));
t.teardown(() => rmSync(root, { recursive: true }));

const web = (port: number) => service({ name: 'web', clusterIPs: ['10.96.0.10'], ports: [{ port }] });
const refused = (count: number, name: string) =>
  Array.from({ length: count }, (_, index) =>
    service({ name: `${name}-${index}`, clusterIPs: ['10.96.0.11'], ports: [{ port: 99_999 }] }),
  );

/** A kube-portal whose output the shell sends where `redirection` says. */
function start(t: Test, redirection: string) {
  const directory = mkdtempSync(join(root, 'run-'));
  const manifest = join(directory, 'manifest');
  mkdirSync(manifest);
  const write = (name: string, objects: Parameters<typeof listOf>[0]) =>
    writeFileSync(join(manifest, name), listOf(objects));
  write('web.json', [web(80)]);
  const command = `exec ${process.execPath} ${BIN} run --redirect=none --manifest ${manifest} --state-dir ${directory}/state ${redirection}`;
  const program = new Program(['sh', '-c', command]);
  t.teardown(() => program.stop('SIGKILL'));
  let runs = 0;
  /** Makes it log more than a pipe holds and than is kept for its reader. */
  const logUntilDropped = async (more: number) => {
    for (; (await dropped()) <= more; await sleep(50))
      write('refused.json', refused(REFUSED, `run-${++runs}`));
  };
  return { program, write, logUntilDropped };
}

/** A named pipe that somebody has open for reading, and does not read. */
async function unreadPipe(t: Test, name: string): Promise<string> {
  const path = join(root, name);
  sh(`mkfifo ${path}`);
  const holder = new Program(['sh', '-c', `exec 3<> ${path}; echo open; exec sleep 3600`]);
  t.teardown(() => holder.stop('SIGKILL'));
  await holder.waitForOutput(/open/);
  return path;
}

async function get(url: string): Promise<Response | null> {
  return fetch(url, { signal: AbortSignal.timeout(5000) }).catch(() => null);
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await sleep(20);
}

const isHealthy = async () => (await get('http://127.0.0.1:10256/healthz'))?.status === 200;

async function dropped(): Promise<number> {
  const text = await (await get('http://127.0.0.1:10249/metrics'))?.text();
  return Number(/^kubeportal_log_lines_dropped_total (\d+)$/m.exec(text ?? '')?.[1]);
}

async function portOfWeb(): Promise<number | undefined> {
  const report = (await (await get('http://127.0.0.1:10249/status'))?.json()) as
    | { portals: { vips: { port: number }[] }[] }
    | undefined;
  return report?.portals[0]?.vips[0]?.port;
}

t.test('a log that nobody reads stops nothing', async (t) => {
  const fifo = await unreadPipe(t, 'fifo');
  const { program, write, logUntilDropped } = start(t, `> ${fifo} 2>&1`);
  await until(isHealthy);
  await logUntilDropped(0);
  t.ok(await isHealthy());
  write('web.json', [web(81)]);
  await until(async () => (await portOfWeb()) === 81);
  t.pass('changes take effect');

  const reader = new Program(['cat', fifo]);
  t.teardown(() => reader.stop('SIGKILL'));
  const said = () =>
    [...reader.stdout.matchAll(/"count":(\d+),"msg":"log lines were dropped/g)].reduce(
      (sum, [, count]) => sum + Number(count),
      0,
    );
  await until(async () => said() > 0 && said() === (await dropped()));
  t.pass('how many are missing is said once they are read');
  const lines = reader.stdout.slice(0, reader.stdout.lastIndexOf('\n')).split('\n');
  t.same(
    lines.filter((line) => !(line.startsWith('{') && line.endsWith('}'))),
    [],
    'and no line is torn',
  );

  await reader.stop('SIGKILL');
  await logUntilDropped(await dropped());
  t.equal(await program.stop('SIGTERM'), 0, 'SIGTERM ends it while nobody reads');
});

t.test('a log on a full disk stops nothing', async (t) => {
  const { program, logUntilDropped } = start(t, '> /dev/full 2>&1');
  await until(isHealthy);
  await logUntilDropped(0);
  t.equal(await program.stop('SIGTERM'), 0);
});

t.test('an error message that nobody reads does not keep the process', async (t) => {
  const full = await unreadPipe(t, 'full');
  sh(`dd if=/dev/zero of=${full} bs=4096 oflag=nonblock status=none || true`);
  const command = `exec ${process.execPath} ${BIN} run --manifest ${root}/none 2> ${full}`;
  t.equal((await new Program(['sh', '-c', command]).finish()).code, 1);
});
