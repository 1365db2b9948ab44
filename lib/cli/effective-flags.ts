import type { Command } from 'commander';
import { readSmallFileSync } from '../sys/readfile.js';
import { type ConfigFile, parseConfigFile } from './config-file.js';
import { foreignFlagsOf } from './foreign-flags.js';
import type { RunFlags } from './run-flags.js';
import { UsageError } from './usage-error.js';

/** The flags that the configuration file has a field for. As in kube-proxy, the file replaces all of them. */
const FLAGS_OF_FILE: readonly (keyof RunFlags)[] = [
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
  'masqueradeAll',
  'metricsBindAddress',
  'nodeportAddresses',
  'oomScoreAdj',
  'proxyPortRange',
  'udpTimeout',
];

export interface EffectiveFlags {
  readonly flags: RunFlags;
  /** Warnings about flags and fields without effect, one line each. */
  readonly notes: readonly string[];
  /** The content of the configuration file. */
  readonly configText?: string;
}

/**
 * Joins the command line of a `run` with the configuration file that it names.
 *
 * @param defaults the values of flags that neither the command line nor the file sets
 * @throws UsageError if the file cannot be read or is not valid
 */
export function effectiveFlags(command: Command, defaults: RunFlags): EffectiveFlags {
  const commandLine = command.opts<RunFlags>();
  const foreign = foreignFlagsOf(command);
  const notes =
    foreign.length > 0 ? [`flags of kube-proxy without a meaning here: ${foreign.join(' ')}`] : [];
  if (commandLine.config === undefined) return { flags: commandLine, notes };
  const { text, flags: configured, ignored } = readConfig(commandLine.config);
  const replaced = command.options.filter(
    (option) =>
      FLAGS_OF_FILE.includes(option.attributeName() as keyof RunFlags) &&
      command.getOptionValueSource(option.attributeName()) === 'cli',
  );
  if (replaced.length > 0) {
    notes.push(`--config replaces these flags: ${replaced.map((option) => option.long).join(' ')}`);
  }
  if (ignored.length > 0)
    notes.push(`fields of ${commandLine.config} without a meaning here: ${ignored.join(' ')}`);
  const reset = Object.fromEntries(FLAGS_OF_FILE.map((name) => [name, defaults[name]])) as Partial<RunFlags>;
  const { hostnameOverride = configured.hostnameOverride } = commandLine;
  return {
    flags: {
      ...commandLine,
      ...reset,
      ...configured,
      ...(hostnameOverride !== undefined && { hostnameOverride }),
    },
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
