import { readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { ConntrackFlags } from './conntrack-flags.js';

/** A number that the kernel shows in a file. */
interface Setting {
  readonly file: string;
  readonly value: number;
  /** True: the kernel's number is raised to `value`, and never lowered. */
  readonly isMinimum?: boolean;
}

/** kube-proxy's default of each flag where only the other flag is given. */
const DEFAULT_MAX_PER_CORE = 32_768;
const DEFAULT_MIN = 131_072;
/** Entries. kube-proxy's maximum for max-per-core times cores. One entry takes about 300 bytes. */
const MAX_BY_CORES = 1_048_576;

/**
 * Writes the flags' settings of connection tracking, as kube-proxy does (nf_conntrack-sysctl in the kernel's
 * documentation). They are settings of this network namespace. Two belong to the machine, and only the first
 * namespace can write them: the maximum of entries and the size of the table. If a setting cannot be
 * written, a log line says what to do. The settings stay when the program ends.
 *
 * @param root the directory that contains /proc and /sys
 */
export function applyConntrack(flags: ConntrackFlags, log: Logger, root = '/'): void {
  for (const setting of [...limits(flags, cpus().length), ...timeouts(flags)]) apply(setting, log, root);
}

/** As in kube-proxy, the table gets one bucket for four entries of the maximum. */
function limits({ conntrackMaxPerCore, conntrackMin }: ConntrackFlags, cores: number): Setting[] {
  if (conntrackMaxPerCore === undefined && conntrackMin === undefined) return [];
  const byCores = (conntrackMaxPerCore ?? DEFAULT_MAX_PER_CORE) * cores;
  if (byCores === 0) return [];
  const maxEntries = Math.max(Math.min(byCores, MAX_BY_CORES), conntrackMin ?? DEFAULT_MIN);
  return [
    { file: sysctl('max'), value: maxEntries, isMinimum: true },
    {
      file: '/sys/module/nf_conntrack/parameters/hashsize',
      value: Math.floor(maxEntries / 4),
      isMinimum: true,
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

function apply({ file, value, isMinimum = false }: Setting, log: Logger, root: string): void {
  const path = join(root, file);
  try {
    const before = Number(readFileSync(path, 'utf8'));
    if (before === value || (isMinimum && before > value)) return;
    writeFileSync(path, String(value));
    log.info({ file, before, value }, 'connection tracking: changed');
  } catch (error) {
    const { code, message: reason } = error as NodeJS.ErrnoException;
    log.warn({ file, value, reason }, `connection tracking: not changed; ${whatToDo(code, file, value)}`);
  }
}

function whatToDo(code: string | undefined, file: string, value: number): string {
  if (code === 'ENOENT') return 'the kernel has no such setting, or its module nf_conntrack is not loaded';
  return `run this as root of the node, at each boot: echo ${value} > ${file}`;
}
