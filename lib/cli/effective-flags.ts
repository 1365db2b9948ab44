import type { Command } from 'commander';
import { readSmallFileSync } from '../sys/readfile.js';
import { type ConfigFile, parseConfigFile } from './config-file.js';
import { foreignFlagsOf } from './foreign-flags.js';
import type { RunFlags } from './run-flags.js';
import { UsageError } from './usage-error.js';

/** The flags that a configuration file replaces, as in kube-proxy: those that it has a field for. */
const REPLACED: readonly (keyof RunFlags)[] = [
  'bindAddress',
  'clusterCidr',
  'conntrackMaxPerCore',
  'conntrackMin',
  'conntrackTcpBeLiberal',
  'conntrackTcpTimeoutCloseWait',
  'conntrackTcpTimeoutEstablished',
  'conntrackUdpTimeout',
  'conntrackUdpTimeoutStream',
  'healthzBindAddress',
  'iptablesSyncPeriod',
  'kubeconfig',
  'metricsBindAddress',
  'nodeportAddresses',
  'oomScoreAdj',
  'proxyPortRange',
  'udpTimeout',
];

export interface EffectiveFlags {
  readonly flags: RunFlags;
  /** What the user should know about flags and fields that have no effect, one line each. */
  readonly notes: readonly string[];
  /** The configuration file as it was read. */
  readonly configText?: string;
}

/**
 * Joins the command line of a `run` with the configuration file that it names.
 *
 * @param defaults what holds where neither says anything
 * @throws UsageError when the file cannot be used
 */
export function effectiveFlags(command: Command, defaults: RunFlags): EffectiveFlags {
  const given = command.opts<RunFlags>();
  const foreign = foreignFlagsOf(command);
  const notes =
    foreign.length > 0 ? [`flags of kube-proxy without a meaning here: ${foreign.join(' ')}`] : [];
  if (given.config === undefined) return { flags: given, notes };
  const { text, flags: configured, ignored } = readConfig(given.config);
  const replaced = command.options.filter(
    (option) =>
      REPLACED.includes(option.attributeName() as keyof RunFlags) &&
      command.getOptionValueSource(option.attributeName()) === 'cli',
  );
  if (replaced.length > 0) {
    notes.push(`--config replaces these flags: ${replaced.map((option) => option.long).join(' ')}`);
  }
  if (ignored.length > 0)
    notes.push(`fields of ${given.config} without a meaning here: ${ignored.join(' ')}`);
  const reset = Object.fromEntries(REPLACED.map((name) => [name, defaults[name]])) as Partial<RunFlags>;
  const { hostnameOverride = configured.hostnameOverride } = given;
  return {
    flags: { ...given, ...reset, ...configured, ...(hostnameOverride !== undefined && { hostnameOverride }) },
    notes,
    configText: text,
  };
}

function readConfig(path: string): ConfigFile & { readonly text: string } {
  try {
    const text = readSmallFileSync(path);
    return { text, ...parseConfigFile(text) };
  } catch (error) {
    throw new UsageError(`--config ${path}: ${(error as Error).message}`);
  }
}
