import { fileURLToPath } from 'node:url';
import t from 'tap';
import type { Sample } from '../../bench/measure.js';
import { median, type Summary, summarize } from '../../bench/summary.js';
import { run } from '../lab/program.js';

const MAIN = fileURLToPath(new URL('../../bench/main.js', import.meta.url));
t.setTimeout(240_000);
const bench = (...args: string[]) => run([process.execPath, MAIN, ...args], { timeoutMs: 180_000 });

t.test('a very short bench measures every contender in every row', { timeout: 200_000 }, async (t) => {
  const { code, stdout, stderr } = await bench(
    '--rounds',
    '1',
    '--seconds',
    '0.1',
    '--attempts',
    '1',
    '-o',
    'json',
  );
  t.equal(code, 0, stderr);
  const { summaries } = JSON.parse(stdout) as { summaries: Summary[] };
  const measured = (row: string) =>
    summaries.filter((summary) => summary.row === row).map(({ contender }) => contender);
  const all = ['direct', 'kernel', 'nginx', 'haproxy', 'kube-portal-1', 'kube-portal'];
  for (const row of ['connect', 'roundtrip-1', 'roundtrip-32', 'bulk']) t.same(measured(row), all, row);
  t.same(
    measured('udp'),
    all.filter((contender) => contender !== 'haproxy'),
    'udp',
  );
  t.ok(
    summaries.every(({ median }) => median > 0),
    'all of them did something',
  );
});

t.test('the bench refuses names that it does not know', async (t) => {
  t.match(await bench('--rows', 'sctp'), {
    code: 1,
    stderr: /--rows: there is no sctp; there are udp, connect/,
  });
  t.match(await bench('--contenders', 'ipvs'), { code: 1, stderr: /--contenders: there is no ipvs/ });
});

t.test('rounds are summed up by their medians', async (t) => {
  t.equal(median([3, 1, 2]), 2);
  t.equal(median([4, 1, 2, 3]), 2.5);
  const sample = (round: number, perSecond: number, cpuPerUnit: number | null, disturbance = 0): Sample => {
    return { row: 'udp', contender: 'nginx', round, perSecond, cpuPerUnit, losses: 1, disturbance };
  };
  t.same(summarize([sample(0, 10, 0.5), sample(1, 30, 0.1), sample(2, 20, 0.2)]), [
    {
      row: 'udp',
      contender: 'nginx',
      median: 20,
      lowest: 10,
      highest: 30,
      cpuPerUnit: 0.2,
      losses: 3,
      disturbance: 0,
    },
  ]);
  t.equal(summarize([sample(0, 10, null)])[0].cpuPerUnit, null);
  t.equal(summarize([sample(0, 10, 0), sample(1, 2, 0, 0.9)])[0].lowest, 10, 'without the disturbed ones');
  t.equal(summarize([sample(0, 10, 0, 0.8), sample(1, 2, 0, 0.9)])[0].lowest, 2, 'unless all of them were');
});
