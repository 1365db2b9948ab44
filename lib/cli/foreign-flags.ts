import { type Command, Option } from 'commander';

/**
 * Flags of kube-proxy that have no effect in kube-portal. They are accepted, so that a DaemonSet for
 * kube-proxy works without a change of its arguments. `true`: the flag can be given without a value.
 */
const FOREIGN: Readonly<Record<string, boolean>> = {
  'bind-address-hard-fail': true,
  'config-sync-period': false,
  'detect-local-mode': false,
  'feature-gates': false,
  'healthz-port': false,
  'init-only': true,
  'iptables-localhost-nodeports': true,
  'iptables-masquerade-bit': false,
  'iptables-min-sync-period': false,
  'ipvs-exclude-cidrs': false,
  'ipvs-min-sync-period': false,
  'ipvs-scheduler': false,
  'ipvs-strict-arp': true,
  'ipvs-sync-period': false,
  'ipvs-tcp-timeout': false,
  'ipvs-tcpfin-timeout': false,
  'ipvs-udp-timeout': false,
  'kube-api-burst': false,
  'kube-api-content-type': false,
  'kube-api-qps': false,
  'log-flush-frequency': false,
  'log-json-info-buffer-size': false,
  'log-json-split-stream': true,
  'log-text-info-buffer-size': false,
  'log-text-split-stream': true,
  'logging-format': false,
  'metrics-port': false,
  'pod-bridge-interface': false,
  'pod-interface-name-prefix': false,
  profiling: true,
  'proxy-mode': false,
  'show-hidden-metrics-for-version': false,
  vmodule: false,
  'write-config-to': false,
};

/** Makes a command accept the foreign flags. The help does not show them. */
export function addForeignFlags(command: Command): void {
  for (const [name, needsNoValue] of Object.entries(FOREIGN)) {
    const value = needsNoValue ? '[value]' : '<value>';
    command.addOption(new Option(`--${name} ${value}`).hideHelp());
  }
}

/** The foreign flags on a parsed command line, for example `--proxy-mode`. */
export function foreignFlagsOf(command: Command): string[] {
  return command.options
    .filter((option) => option.long !== undefined && Object.hasOwn(FOREIGN, option.long.slice(2)))
    .filter((option) => command.getOptionValueSource(option.attributeName()) === 'cli')
    .map((option) => option.long as string);
}
