/** `npm run bench`: measures kube-portal beside the kernel and other proxies, in one run. Needs root. */
import { writeFileSync } from 'node:fs';
import { run } from '../test/lab/program.js';
import type { Contender } from './contenders/contender.js';
import { parseFlags, scheduleOf } from './flags.js';
import { describeMachine } from './machine.js';
import { page, picture } from './report/page.js';
import { table } from './report/table.js';
import { runSchedule } from './schedule.js';
import { summarize } from './summary.js';

/** @throws Error that says which Debian packages to install */
async function requirePrograms(contenders: readonly Contender[]): Promise<void> {
  const missing: string[] = [];
  for (const { needs } of [...contenders, ...TOOLS]) {
    if (needs === undefined) continue;
    const { code } = await run(['sh', '-c', `command -v ${needs.program}`]);
    if (code !== 0) missing.push(needs.packages);
  }
  if (missing.length > 0) throw new Error(`programs are missing: apt-get install ${missing.join(' ')}`);
}

function isAvailable({ title, prepare }: Contender): boolean {
  if (prepare === undefined || prepare()) return true;
  process.stderr.write(`${title} is left out\n`);
  return false;
}

const TOOLS = [
  { needs: { program: 'iperf3', packages: 'iperf3' } },
  { needs: { program: 'ddsperf', packages: 'cyclonedds-tools' } },
] as const;

async function main(): Promise<void> {
  const flags = parseFlags(process.argv.slice(2));
  if (process.getuid?.() !== 0) throw new Error('the bench makes network namespaces: run it as root');
  const wanted = scheduleOf(flags);
  await requirePrograms(wanted.contenders);
  const schedule = { ...wanted, contenders: wanted.contenders.filter(isAvailable) };
  const { samples, failures } = await runSchedule(schedule, (progress) =>
    process.stderr.write(`${progress}\n`),
  );
  const summaries = summarize(samples);
  const { rows, contenders } = schedule;
  if (flags.report !== undefined)
    writeFileSync(flags.report, page(describeMachine(), summaries, rows, contenders));
  if (flags.plot !== undefined) writeFileSync(flags.plot, picture(summaries, rows, contenders));
  if (flags.output === 'json') {
    process.stdout.write(`${JSON.stringify({ machine: describeMachine(), summaries, samples }, null, 2)}\n`);
  } else {
    process.stdout.write(`${describeMachine()}\n\n${table(summaries, rows, contenders)}`);
  }
  if (failures.length > 0) throw new Error(`some measurements failed\n${failures.join('\n')}`);
}

try {
  await main();
} catch (error) {
  process.stderr.write(`error: ${(error as Error).message}\n`);
  process.exitCode = 1;
}
