import { availableParallelism } from 'node:os';
import { Command, Option } from 'commander';
import { type CarrierFlags, carrierFlags } from './carrier-flags.js';
import { type ConntrackFlags, conntrackFlags } from './conntrack-flags.js';
import { addForeignFlags } from './foreign-flags.js';
import {
  type BindTarget,
  integerBetween,
  parseBindTarget,
  parseDuration,
  parseDurationOrZero,
} from './parse.js';
import { type RedirectFlags, redirectFlags } from './redirect-flags.js';
import { type SourceFlags, sourceFlags } from './source-flags.js';

/** Where `run` keeps its state, and where other commands look for it. */
export const DEFAULT_STATE_DIR = '/run/kube-portal';
const MAX_DEFAULT_WORKERS = 4;

/** The flags of `kube-portal run`. Times are milliseconds. */
export interface RunFlags extends SourceFlags, RedirectFlags, CarrierFlags, ConntrackFlags {
  readonly config?: string;
  readonly oomScoreAdj?: number;
  readonly workers: number;
  readonly udpTimeout?: number;
  readonly rtpsCopies: number;
  readonly maxPins: number;
  readonly healthzBindAddress: BindTarget;
  readonly metricsBindAddress: BindTarget;
  readonly endpointMetrics?: boolean;
  readonly v: number;
  readonly stateDir: string;
  readonly drainTimeout: number;
  readonly keepRules?: boolean;
  readonly cleanup?: boolean;
}

/** Adds the flags of `run` to a command, in groups. A flag that kube-proxy has too has the same name. */
export function addRunFlags(command: Command): Command {
  for (const [group, options] of groups()) {
    for (const option of options) command.addOption(option.helpGroup(group));
  }
  addForeignFlags(command);
  return command;
}

/** The flags of a command line. A flag that is absent has its default. */
export function runFlagsOf(args: readonly string[]): RunFlags {
  return addRunFlags(new Command('run').exitOverride()).parse(args, { from: 'user' }).opts<RunFlags>();
}

function groups(): [string, Option[]][] {
  return [
    ['What to serve:', sourceFlags()],
    ['How traffic gets here:', redirectFlags()],
    ['What carries traffic:', carrierFlags()],
    ['How traffic is relayed:', relayFlags()],
    [
      'Connection tracking of the kernel (with iptables only; without a flag, a setting stays as it is):',
      conntrackFlags(),
    ],
    ['What can be watched:', watchFlags()],
    ['Start and stop:', lifecycleFlags()],
  ];
}

/** Half of the cores. The other half is for the kernel and for the programs that use the Services. */
function defaultWorkers(): number {
  return Math.min(Math.max(1, Math.floor(availableParallelism() / 2)), MAX_DEFAULT_WORKERS);
}

function relayFlags(): Option[] {
  return [
    new Option('--workers <number>', 'number of threads that pick endpoints and relay')
      .argParser(integerBetween(1, 64))
      .default(defaultWorkers(), 'half the number of cores, from 1 to 4'),
    new Option(
      '--udp-timeout <duration>',
      'idle time after which a relayed UDP flow ends (default: 30s; 120s if the flow has lasted 2s and had an answer)',
    ).argParser(parseDuration),
    new Option(
      '--rtps-copies <number>',
      'copies of datagrams a second that a port of a Service with the annotation ' +
        'kube-portal.dev/rtps-routing may send to several endpoints. Datagrams beyond that are dropped',
    )
      .argParser(integerBetween(1, 10_000_000))
      .default(20_000),
    new Option(
      '--max-pins <number>',
      'how many clients can be pinned by session affinity, over all Services. Beyond it, the client that did ' +
        'not come for longest is forgotten. Each takes about 0.4 kB',
    )
      .argParser(integerBetween(64, 1_000_000))
      .default(65_536),
  ];
}

function watchFlags(): Option[] {
  return [
    new Option(
      '--healthz-bind-address <address:port>',
      'where /healthz and /livez are served. 0.0.0.0 and :: both mean all addresses, IPv4 and IPv6. ' +
        'An empty value turns it off',
    )
      .argParser(parseBindTarget)
      .default({ host: '0.0.0.0', port: 10_256 }, '0.0.0.0:10256'),
    new Option(
      '--metrics-bind-address <address:port>',
      'where /metrics, /status, /sessions and /proxyMode are served. An empty value turns it off',
    )
      .argParser(parseBindTarget)
      .default({ host: '127.0.0.1', port: 10_249 }, '127.0.0.1:10249'),
    new Option(
      '--endpoint-metrics',
      'add to /metrics what each endpoint has had: seven to nine series for each endpoint that was used',
    ),
    new Option(
      '-v, --v <level>',
      'how much is logged. 0: changes and problems. 4: also decisions. 6: everything',
    )
      .argParser(parseLogLevel)
      .default(0),
  ];
}

/** Reads also `-v=4`, which Go's flags accept: commander passes `=4` as the value. */
function parseLogLevel(text: string): number {
  return integerBetween(0, 10)(text.replace(/^=/, ''));
}

function lifecycleFlags(): Option[] {
  return [
    new Option(
      '--config <path>',
      'file with a KubeProxyConfiguration (kubeproxy.config.k8s.io/v1alpha1). Flags that it has a field for ' +
        'are then ignored. When the file changes, the process ends with exit code 1',
    ),
    new Option(
      '--oom-score-adj <score>',
      'from -1000 to 1000. When memory runs out, the kernel kills processes with a high value first',
    ).argParser(integerBetween(-1000, 1000)),
    new Option(
      '--state-dir <path>',
      'directory in which proxy ports and pins are kept for the next start',
    ).default(DEFAULT_STATE_DIR),
    new Option(
      '--drain-timeout <duration>',
      'time that open connections have to finish after SIGTERM. New clients are served until then. ' +
        'A second signal ends this time',
    )
      .argParser(parseDurationOrZero)
      .default(5_000, '5s'),
    new Option(
      '--keep-rules',
      'leave rules and addresses in place at the end, so that the next start finds them',
    ),
    new Option('--cleanup', 'remove every rule and address that kube-portal has made on this node, then end'),
  ];
}
