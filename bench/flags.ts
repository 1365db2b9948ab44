import { Command, InvalidArgumentError, Option } from 'commander';
import type { Contender } from './contenders/contender.js';
import { contenders } from './contenders/index.js';
import { ROWS } from './rows/index.js';
import type { Row } from './rows/row.js';
import type { Schedule } from './schedule.js';

export interface Flags {
  readonly quick?: boolean;
  readonly rounds?: number;
  /** Seconds of each measurement. */
  readonly seconds?: number;
  readonly attempts?: number;
  readonly rows?: readonly string[];
  readonly contenders?: readonly string[];
  readonly ancestor?: string;
  readonly output: 'table' | 'json';
  readonly report?: string;
  readonly plot?: string;
}

/** Durations are seconds. */
const FULL = { rounds: 3, duration: 0.7, warmup: 0.2, endurance: 60, attempts: 3 };
const QUICK = {
  rounds: 1,
  duration: 0.5,
  warmup: 0.2,
  endurance: 5,
  attempts: 1,
  rows: ['udp', 'one-way-1x64', 'flows', 'dds-1k', 'connect', 'roundtrip-1', 'roundtrip-32', 'bulk-1'],
  without: [
    'kernel-masquerade',
    'kube-proxy-nftables',
    'nginx-plain',
    'kube-portal-kernel-2',
    'kube-portal-masquerade-1',
    'kube-portal-takeover-1',
    'kube-portal-relay-2',
    'kube-portal-address-1',
  ],
};

const list = (text: string) => text.split(',');
const namesOf = (items: readonly { readonly id: string }[]) => items.map(({ id }) => id);

function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError('It must be a number above 0.');
  return value;
}

export function parseFlags(args: readonly string[]): Flags {
  const rows = namesOf(ROWS).join(', ');
  const all = namesOf(contenders('kube-proxy')).join(', ');
  return new Command('bench')
    .description(
      'Measure kube-portal beside the kernel and other proxies, on the same path through network namespaces.',
    )
    .option('--quick', 'measure a few rows for a short time: under two minutes')
    .option('--rounds <number>', `how often each contender is measured (default: ${FULL.rounds})`, positive)
    .option('--seconds <number>', `time of each measurement (default: ${FULL.duration})`, positive)
    .option(
      '--attempts <number>',
      `how often a measurement is tried while other programs disturb it (default: ${FULL.attempts})`,
      positive,
    )
    .option('--rows <names>', `what to measure, separated by commas: ${rows}`, list)
    .option('--contenders <names>', `which contenders to measure, separated by commas: ${all}`, list)
    .option('--ancestor <path>', 'path of a kube-proxy 1.20, to measure its userspace mode too')
    .addOption(
      new Option('-o, --output <format>', 'form of the output').choices(['table', 'json']).default('table'),
    )
    .option('--report <file>', 'also write a page with plots (HTML)')
    .option('--plot <file>', 'also write a plot of all rates (SVG)')
    .parse(args, { from: 'user' })
    .opts<Flags>();
}

/** The schedule that the flags describe. @throws Error for an unknown row or contender */
export function scheduleOf(flags: Flags): Schedule {
  const length = flags.quick ? QUICK : FULL;
  const all = contenders(flags.ancestor);
  const usual = all.filter(({ id }) => !(flags.quick && QUICK.without.includes(id)));
  return {
    rows: choose<Row>(ROWS, flags.rows ?? (flags.quick ? QUICK.rows : namesOf(ROWS)), '--rows'),
    contenders: choose<Contender>(all, flags.contenders ?? namesOf(usual), '--contenders'),
    rounds: flags.rounds ?? length.rounds,
    times: {
      warmup: Math.min(length.warmup, flags.seconds ?? length.warmup),
      duration: flags.seconds ?? length.duration,
      endurance: length.endurance,
    },
    attempts: flags.attempts ?? length.attempts,
  };
}

/** The items with these names, in the order of `items`. @throws Error for an unknown name */
function choose<Item extends { readonly id: string }>(
  items: readonly Item[],
  names: readonly string[],
  flag: string,
): Item[] {
  const unknown = names.find((name) => !items.some(({ id }) => id === name));
  if (unknown === undefined) return items.filter(({ id }) => names.includes(id));
  throw new Error(`${flag}: there is no ${unknown}; there are ${namesOf(items).join(', ')}`);
}
