import { readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { ConntrackFlags } from './conntrack-flags.js';

/** A number that the kernel holds in a file. */
interface Setting {
  readonly file: string;
  readonly value: number;
  /** A larger number stays. */
  readonly atLeast?: boolean;
}

/** What kube-proxy has where only the other of the two is given. */
const DEFAULT_MAX_PER_CORE = 32_768;
const DEFAULT_MIN = 131_072;
/** kube-proxy's bound for what many cores add up to, 300 bytes each. */
const MOST_BY_CORES = 1_048_576;

/**
 * Gives connection tracking the settings of the flags, as kube-proxy does (nf_conntrack-sysctl in the
 * kernel's documentation). They hold for this network namespace. Only the limit of entries and the size of
 * their table are the machine's: its first namespace alone may write them. A setting that cannot be written
 * stays as it is, and a line of the log says what to do. At the end of the program they stay.
 *
 * @param root where /proc and /sys are
 */
export function applyConntrack(flags: ConntrackFlags, log: Logger, root = '/'): void {
  for (const setting of [...limits(flags, cpus().length), ...timeouts(flags)]) apply(setting, log, root);
}

/** The table has a quarter as many buckets as the limit has entries, as kube-proxy wants it. */
function limits({ conntrackMaxPerCore, conntrackMin }: ConntrackFlags, cores: number): Setting[] {
  if (conntrackMaxPerCore === undefined && conntrackMin === undefined) return [];
  const byCores = (conntrackMaxPerCore ?? DEFAULT_MAX_PER_CORE) * cores;
  if (byCores === 0) return [];
  const most = Math.max(Math.min(byCores, MOST_BY_CORES), conntrackMin ?? DEFAULT_MIN);
  return [
    { file: sysctl('max'), value: most, atLeast: true },
    {
      file: '/sys/module/nf_conntrack/parameters/hashsize',
      value: Math.floor(most / 4),
      atLeast: true,
    },
  ];
}

function timeouts(flags: ConntrackFlags): Setting[] {
  const seconds = (ms = 0) => Math.floor(ms / 1000);
  const settings = [
    {
      file: sysctl('tcp_timeout_established'),
      value: seconds(flags.conntrackTcpTimeoutEstablished),
    },
    { file: sysctl('tcp_timeout_close_wait'), value: seconds(flags.conntrackTcpTimeoutCloseWait) },
    { file: sysctl('tcp_be_liberal'), value: Number(flags.conntrackTcpBeLiberal ?? false) },
    { file: sysctl('udp_timeout'), value: seconds(flags.conntrackUdpTimeout) },
    { file: sysctl('udp_timeout_stream'), value: seconds(flags.conntrackUdpTimeoutStream) },
  ];
  return settings.filter(({ value }) => value > 0);
}

function sysctl(name: string): string {
  return `/proc/sys/net/netfilter/nf_conntrack_${name}`;
}

function apply({ file, value, atLeast = false }: Setting, log: Logger, root: string): void {
  const path = join(root, file);
  try {
    const before = Number(readFileSync(path, 'utf8'));
    if (before === value || (atLeast && before > value)) return;
    writeFileSync(path, String(value));
    log.info({ file, before, value }, 'connection tracking: changed');
  } catch (error) {
    const { code, message: reason } = error as NodeJS.ErrnoException;
    log.warn({ file, value, reason }, `connection tracking: not changed; ${whatToDo(code, file, value)}`);
  }
}

function whatToDo(code: string | undefined, file: string, value: number): string {
  if (code === 'ENOENT') return 'the kernel has no such setting, or its module nf_conntrack is not loaded';
  return `let root of the node do it, at each boot: echo ${value} > ${file}`;
}
