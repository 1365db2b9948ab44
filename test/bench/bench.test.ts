import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import type { Summary } from '../../bench/summary.js';
import { item } from '../lab/items.js';
import { run } from '../lab/program.js';

const MAIN = fileURLToPath(new URL('../../bench/main.js', import.meta.url));
t.setTimeout(0);
const bench = (...args: string[]) => run([process.execPath, MAIN, ...args], { timeoutMs: 180_000 });

t.test('a short bench measures the chosen contenders in the chosen rows', { timeout: 200_000 }, async (t) => {
  const rows = ['udp', 'bulk-1'];
  const contenders = ['kernel', 'haproxy', 'kube-portal-relay-1'];
  const short = ['--rounds', '1', '--seconds', '0.3', '--attempts', '1', '-o', 'json'];
  const chosen = ['--rows', rows.join(), '--contenders', contenders.join()];
  const files = ['report.html', 'plot.svg'].map((name) => join(t.testdir(), name));
  const { code, stdout, stderr } = await bench(
    ...short,
    ...chosen,
    '--report',
    item(files, 0),
    '--plot',
    item(files, 1),
  );
  t.equal(code, 0, stderr);
  for (const file of files) t.match(readFileSync(file, 'utf8'), /<svg.*kube-portal/s);
  const { summaries } = JSON.parse(stdout) as { summaries: Summary[] };
  const measured = (row: string) =>
    summaries.filter((summary) => summary.row === row).map(({ contender }) => contender);
  t.same(measured('udp'), ['kernel', 'kube-portal-relay-1'], 'HAProxy relays no UDP');
  t.same(measured('bulk-1'), contenders);
  for (const { row, contender, spreads } of summaries) {
    const main = spreads.rate ?? spreads.gigabits;
    t.ok(main && main.median > 0, `${contender} did something in ${row}`);
    t.equal('cpu' in spreads, contender !== 'kernel', 'and its cost is known');
  }
});

t.test('through the kernel alone, 60,000 connections are open and look-ups are answered', async (t) => {
  const chosen = ['--rows', 'open,lookups', '--contenders', 'kernel'];
  const { code, stdout, stderr } = await bench('--quick', ...chosen, '-o', 'json');
  t.equal(code, 0, stderr);
  const { summaries } = JSON.parse(stdout) as { summaries: Summary[] };
  const medianOf = (row: string, figure: string) =>
    summaries.find((summary) => summary.row === row)?.spreads[figure]?.median;
  t.equal(medianOf('open', 'served'), 100);
  t.ok(medianOf('lookups', 'answered')! > 0);
});

t.test('where kube-proxy cannot be built, the bench says so and measures the others', async (t) => {
  const directory = t.testdir({ bin: {} });
  const programs = { 'dpkg-query': 'echo installed', go: 'exit 1', python3: 'exit 1' };
  for (const [name, script] of Object.entries(programs))
    writeFileSync(join(directory, 'bin', name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  const env = {
    PATH: `${directory}/bin:${process.env.PATH}`,
    XDG_CACHE_HOME: join(directory, 'cache'),
  };
  const short = ['--rounds', '1', '--seconds', '0.1', '--attempts', '1', '-o', 'json'];
  const chosen = ['--rows', 'flows', '--contenders', 'kernel,kube-proxy-iptables'];
  const { code, stdout, stderr } = await run([process.execPath, MAIN, ...short, ...chosen], { env });
  t.equal(code, 0, stderr);
  t.match(stderr, /^kube-proxy cannot be built here: .*\nkube-proxy, iptables is left out$/m);
  const { summaries } = JSON.parse(stdout) as { summaries: Summary[] };
  t.same(
    summaries.map(({ contender }) => contender),
    ['kernel'],
  );
});

t.test('an unknown row or contender is refused, and the error names the known ones', async (t) => {
  t.match(await bench('--rows', 'sctp'), {
    code: 1,
    stderr: /--rows: there is no sctp; there are udp, /,
  });
  t.match(await bench('--contenders', 'ipvs'), { code: 1, stderr: /--contenders: there is no ipvs/ });
});
