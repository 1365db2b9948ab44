/** `npm run bench`: kube-portal beside the kernel and its peers, on one machine in one run. Needs root. */
import { availableParallelism, cpus, release } from 'node:os';
import { Command, InvalidArgumentError, Option } from 'commander';
import { run } from '../test/lab/program.js';
import type { Contender } from './contenders/contender.js';
import { CONTENDERS } from './contenders/index.js';
import { type Course, runCourse } from './course.js';
import { table } from './report/table.js';
import { ROWS } from './rows/index.js';
import type { Row } from './rows/row.js';
import { summarize } from './summary.js';

interface Flags {
  readonly quick?: boolean;
  readonly rounds?: number;
  readonly seconds?: number;
  readonly attempts: number;
  readonly rows?: readonly string[];
  readonly contenders?: readonly string[];
  readonly output: 'table' | 'json';
}

const FULL = { rounds: 5, duration: 2, warmup: 1 };
const QUICK = { rounds: 2, duration: 0.7, warmup: 0.5 };

const list = (text: string) => text.split(',');

function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError('It must be a number above 0.');
  return value;
}

function parse(args: readonly string[]): Flags {
  const names = (items: readonly { readonly id: string }[]) => items.map(({ id }) => id).join(', ');
  return new Command('bench')
    .description(
      'Measures kube-portal beside the kernel and other proxies, on the same path through network namespaces.',
    )
    .option('--quick', 'short measurements, under two minutes')
    .option('--rounds <number>', `times that every contender is measured (default: ${FULL.rounds})`, positive)
    .option('--seconds <number>', `that each measurement takes (default: ${FULL.duration})`, positive)
    .option('--attempts <number>', 'at a measurement that other programs disturb', positive, 3)
    .option('--rows <names>', `what to measure, with commas between: ${names(ROWS)}`, list)
    .option('--contenders <names>', `whom to measure, with commas between: ${names(CONTENDERS)}`, list)
    .addOption(
      new Option('-o, --output <format>', 'how to print it').choices(['table', 'json']).default('table'),
    )
    .parse(args, { from: 'user' })
    .opts<Flags>();
}

/** The items of the given names, in their own order. @throws Error for a name that nobody has */
function choose<Item extends { readonly id: string }>(
  items: readonly Item[],
  names: readonly string[],
  flag: string,
): Item[] {
  const unknown = names.find((name) => !items.some(({ id }) => id === name));
  if (unknown === undefined) return items.filter(({ id }) => names.includes(id));
  throw new Error(`${flag}: there is no ${unknown}; there are ${items.map(({ id }) => id).join(', ')}`);
}

function courseOf(flags: Flags): Course {
  const length = flags.quick ? QUICK : FULL;
  return {
    rows: choose<Row>(ROWS, flags.rows ?? ROWS.map(({ id }) => id), '--rows'),
    contenders: choose<Contender>(
      CONTENDERS,
      flags.contenders ?? CONTENDERS.map(({ id }) => id),
      '--contenders',
    ),
    rounds: flags.rounds ?? length.rounds,
    span: {
      warmup: Math.min(length.warmup, flags.seconds ?? length.warmup),
      duration: flags.seconds ?? length.duration,
    },
    attempts: flags.attempts,
  };
}

/** @throws Error that says which Debian packages to install */
async function requirePrograms(contenders: readonly Contender[]): Promise<void> {
  const missing: string[] = [];
  for (const { needs } of contenders) {
    if (needs === undefined) continue;
    const { code } = await run(['sh', '-c', `command -v ${needs.program}`]);
    if (code !== 0) missing.push(needs.packages);
  }
  if (missing.length > 0) throw new Error(`programs are missing: apt-get install ${missing.join(' ')}`);
}

function machine(): string {
  const model = cpus()[0]?.model ?? process.arch;
  return `${availableParallelism()} cores of ${model}, Linux ${release()}, Node ${process.version}`;
}

async function main(): Promise<void> {
  const flags = parse(process.argv.slice(2));
  if (process.getuid?.() !== 0) throw new Error('the bench makes network namespaces: run it as root');
  const course = courseOf(flags);
  await requirePrograms(course.contenders);
  const samples = await runCourse(course, (progress) => process.stderr.write(`${progress}\n`));
  const summaries = summarize(samples);
  if (flags.output === 'json') {
    process.stdout.write(`${JSON.stringify({ machine: machine(), summaries, samples }, null, 2)}\n`);
  } else {
    process.stdout.write(`${machine()}\n\n${table(summaries, course.rows, course.contenders)}`);
  }
}

try {
  await main();
} catch (error) {
  process.stderr.write(`error: ${(error as Error).message}\n`);
  process.exitCode = 1;
}
