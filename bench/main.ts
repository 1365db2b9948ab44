/** `npm run bench`: kube-portal beside the kernel and its peers, on one machine in one run. Needs root. */
import { writeFileSync } from 'node:fs';
import { run } from '../test/lab/program.js';
import type { Contender } from './contenders/contender.js';
import { runCourse } from './course.js';
import { courseOf, parseFlags } from './flags.js';
import { machine } from './machine.js';
import { page, picture } from './report/page.js';
import { table } from './report/table.js';
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

const TOOLS = [
  { needs: { program: 'iperf3', packages: 'iperf3' } },
  { needs: { program: 'ddsperf', packages: 'cyclonedds-tools' } },
] as const;

async function main(): Promise<void> {
  const flags = parseFlags(process.argv.slice(2));
  if (process.getuid?.() !== 0) throw new Error('the bench makes network namespaces: run it as root');
  const course = courseOf(flags);
  await requirePrograms(course.contenders);
  const { samples, failures } = await runCourse(course, (progress) => process.stderr.write(`${progress}\n`));
  const summaries = summarize(samples);
  const { rows, contenders } = course;
  if (flags.report !== undefined) writeFileSync(flags.report, page(machine(), summaries, rows, contenders));
  if (flags.plot !== undefined) writeFileSync(flags.plot, picture(summaries, rows, contenders));
  if (flags.output === 'json') {
    process.stdout.write(`${JSON.stringify({ machine: machine(), summaries, samples }, null, 2)}\n`);
  } else {
    process.stdout.write(`${machine()}\n\n${table(summaries, rows, contenders)}`);
  }
  if (failures.length > 0) throw new Error(`some things could not be measured\n${failures.join('\n')}`);
}

try {
  await main();
} catch (error) {
  process.stderr.write(`error: ${(error as Error).message}\n`);
  process.exitCode = 1;
}
