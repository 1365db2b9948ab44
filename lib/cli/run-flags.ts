import { availableParallelism } from 'node:os';
import { Command, Option } from 'commander';
import { WILDCARD } from '../net/address.js';
import { type ConntrackFlags, conntrackFlags } from './conntrack-flags.js';
import { addForeignFlags } from './foreign-flags.js';
import {
  type BindAddresses,
  type BindTarget,
  collectPaths,
  integerBetween,
  type PortRange,
  parseBindAddress,
  parseBindTarget,
  parseCidrs,
  parseDuration,
  parseDurationOrZero,
  parseNodePortAddresses,
  parsePortRange,
} from './parse.js';

const REDIRECT_MODES = ['auto', 'iptables', 'address', 'none'] as const;
const MOST_DEFAULT_WORKERS = 4;

export type RedirectChoice = (typeof REDIRECT_MODES)[number];

/** Everything that `kube-portal run` can be told. Times are milliseconds. */
export interface RunFlags extends ConntrackFlags {
  readonly config?: string;
  readonly oomScoreAdj?: number;
  readonly manifest: readonly string[];
  readonly kubeconfig?: string;
  readonly master?: string;
  readonly hostnameOverride?: string;
  readonly clusterCidr: readonly string[];
  readonly redirect: RedirectChoice;
  readonly iptablesSyncPeriod: number;
  readonly bindAddress: BindAddresses;
  readonly proxyPortRange: PortRange;
  readonly nodeportAddresses: readonly string[];
  readonly workers: number;
  readonly udpTimeout?: number;
  readonly healthzBindAddress: BindTarget;
  readonly metricsBindAddress: BindTarget;
  readonly v: number;
  readonly stateDir: string;
  readonly drainTimeout: number;
  readonly keepRules?: boolean;
  readonly cleanup?: boolean;
}

/** Adds the flags of `run`, in groups, to a command. Names are kube-proxy's where it has the same flag. */
export function addRunFlags(command: Command): Command {
  for (const [group, options] of groups()) {
    for (const option of options) command.addOption(option.helpGroup(group));
  }
  addForeignFlags(command);
  return command;
}

/** The flags that a command line gives, with the defaults for all others. */
export function runFlagsOf(args: readonly string[]): RunFlags {
  return addRunFlags(new Command('run').exitOverride()).parse(args, { from: 'user' }).opts<RunFlags>();
}

function groups(): [string, Option[]][] {
  return [
    ['What to serve:', sourceFlags()],
    ['How traffic gets here:', redirectFlags()],
    ['How traffic is relayed:', relayFlags()],
    ['Connection tracking of the kernel, with iptables; what is not given stays as it is:', conntrackFlags()],
    ['What can be watched:', watchFlags()],
    ['Start and stop:', lifecycleFlags()],
  ];
}

function sourceFlags(): Option[] {
  return [
    new Option(
      '--manifest <path>',
      'file or directory with Services, EndpointSlices and Endpoints, YAML or JSON; watched for changes; - or a pipe is read once; repeatable',
    )
      .argParser(collectPaths)
      .default([], 'none'),
    new Option(
      '--kubeconfig <path>',
      'kubeconfig of the API server to follow; in a pod the service account serves, and no flag is needed',
    ).conflicts('manifest'),
    new Option('--master <url>', 'address of the API server, if not the one in the kubeconfig').conflicts(
      'manifest',
    ),
    new Option('--hostname-override <name>', 'name of this node, if not its host name'),
    new Option(
      '--cluster-cidr <cidrs>',
      "addresses of the cluster's pods; what this node's own send to a Service's external addresses is served as traffic to its ClusterIP",
    )
      .argParser(parseCidrs)
      .default([], 'none'),
  ];
}

function redirectFlags(): Option[] {
  return [
    new Option(
      '--redirect <mode>',
      'iptables: rules send VIP traffic to proxy ports; address: VIPs become addresses of the loopback device, ' +
        'no netfilter; none: listen only; auto: for each IP family iptables where it works, else address',
    )
      .choices(REDIRECT_MODES)
      .default('auto'),
    new Option('--iptables-sync-period <duration>', 'how often rules and addresses are checked and repaired')
      .argParser(parseDuration)
      .default(30_000, '30s'),
    new Option('--bind-address <address>', 'address that proxy ports listen on; once per IP family')
      .argParser(parseBindAddress)
      .default(WILDCARD, '0.0.0.0 and ::'),
    new Option('--proxy-port-range <range>', 'ports for the portals, as first-last or first+offset')
      .argParser(parsePortRange)
      .default({ first: 20_000, last: 29_999 }, '20000-29999'),
    new Option(
      '--nodeport-addresses <cidrs>',
      "node addresses that serve NodePorts: CIDRs, or primary (the Node's own), localhost, all; repeatable",
    )
      .argParser(parseNodePortAddresses)
      .default([], 'all'),
  ];
}

/**
 * The other half of the cores is for the programs that talk through the relay,
 * and for the kernel's part of it.
 */
function defaultWorkers(): number {
  return Math.min(Math.max(1, Math.floor(availableParallelism() / 2)), MOST_DEFAULT_WORKERS);
}

function relayFlags(): Option[] {
  return [
    new Option('--workers <number>', 'threads that relay traffic')
      .argParser(integerBetween(1, 64))
      .default(defaultWorkers(), 'half as many as cores, from 1 to 4'),
    new Option(
      '--udp-timeout <duration>',
      'idle time after which a UDP flow is forgotten (default: 30s, and 120s once it has lasted 2s and had a reply)',
    ).argParser(parseDuration),
  ];
}

function watchFlags(): Option[] {
  return [
    new Option(
      '--healthz-bind-address <address:port>',
      'serves /healthz and /livez; 0.0.0.0 and :: mean all addresses of both families; empty for none',
    )
      .argParser(parseBindTarget)
      .default({ host: '0.0.0.0', port: 10_256 }, '0.0.0.0:10256'),
    new Option(
      '--metrics-bind-address <address:port>',
      'serves /metrics, /status, /sessions and /proxyMode; empty for none',
    )
      .argParser(parseBindTarget)
      .default({ host: '127.0.0.1', port: 10_249 }, '127.0.0.1:10249'),
    new Option('-v, --v <level>', 'how much to log: 0 changes and troubles, 4 decisions, 6 everything')
      .argParser(parseLogLevel)
      .default(0),
  ];
}

/** Go's flags also know `-v=4`; commander takes the rest of a short option, `=4`, for its value. */
function parseLogLevel(text: string): number {
  return integerBetween(0, 10)(text.replace(/^=/, ''));
}

function lifecycleFlags(): Option[] {
  return [
    new Option(
      '--config <path>',
      'a KubeProxyConfiguration (kubeproxy.config.k8s.io/v1alpha1); it replaces the flags that it has a field for',
    ),
    new Option(
      '--oom-score-adj <score>',
      'how gladly the kernel may kill this process, -1000 to 1000',
    ).argParser(integerBetween(-1000, 1000)),
    new Option('--state-dir <path>', 'where proxy ports are remembered across restarts').default(
      '/run/kube-portal',
    ),
    new Option(
      '--drain-timeout <duration>',
      'how long open connections may finish after SIGTERM; new ones are taken meanwhile; a second signal cuts it short',
    )
      .argParser(parseDurationOrZero)
      .default(5_000, '5s'),
    new Option('--keep-rules', 'leave rules and addresses in place on exit, for a quick restart'),
    new Option('--cleanup', 'remove every rule and address that kube-portal ever made here, then exit'),
  ];
}
