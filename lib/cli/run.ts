import { Command } from 'commander';
import type { Logger } from 'pino';
import { ConfigWatch } from './config-watch.js';
import { effectiveFlags } from './effective-flags.js';
import { LAST_LINES_MS } from './line-output.js';
import { createLog, type Log } from './log.js';
import { setOomScore } from './oom-score.js';
import { primaryAddresses } from './primary-addresses.js';
import { addRunFlags, type RunFlags, runFlagsOf } from './run-flags.js';
import type { StopRequests } from './signals.js';
import { keepHeapSmall } from './small-heap.js';
import { UsageError } from './usage-error.js';

/** `kube-portal run`: serve until SIGTERM or SIGINT. */
export function runCommand(): Command {
  return addRunFlags(new Command('run'))
    .description('Serve Services on this node until SIGTERM or SIGINT.')
    .helpOption('-h, --help', 'print this help')
    .helpGroup('Commands:')
    .addHelpText('after', EXAMPLES)
    .action(run);
}

const EXAMPLES = `
Write durations as 250ms, 30s or 1m30s. The longest is 576h (24 days).
Write flags as --flag value or --flag=value.

Exit codes: 0 when told to stop, 1 after a failure, 2 when the command line is wrong.

Examples:
  kube-portal run --manifest examples/quickstart.yaml
  kube-portal run --manifest /etc/kube-portal --redirect=address -v 4
  kube-portal run --kubeconfig /etc/kubernetes/kube-proxy.conf --hostname-override robot-7
  kube-portal run --cleanup
`;

async function run(_given: RunFlags, command: Command): Promise<void> {
  const { flags, notes, configText } = effectiveFlags(command, runFlagsOf([]));
  if (flags.cleanup) return cleanup(flags);
  if (!hasSource(flags)) {
    throw new UsageError(
      'give --kubeconfig to follow an API server, or --manifest with files or directories of Services and endpoints',
    );
  }
  requirePrimary(flags);
  const log = await createLog(flags.v);
  const { logger, output } = log;
  for (const note of notes) logger.warn(note);
  if (flags.oomScoreAdj !== undefined) setOomScore(flags.oomScoreAdj, logger);
  try {
    await serve(flags, log, watchConfig(flags, configText, logger));
  } finally {
    await output.flush(LAST_LINES_MS);
  }
}

/** @throws UsageError if `primary` is given and nothing defines the node's primary addresses */
function requirePrimary({ manifest, nodeportAddresses, bindAddress }: RunFlags): void {
  if (manifest.length === 0 || !nodeportAddresses.includes('primary')) return;
  if (primaryAddresses(bindAddress, null).length > 0) return;
  throw new UsageError(
    '--nodeport-addresses primary: with --manifest there is no Node object that has the primary address; ' +
      'give the address as a CIDR, or with --bind-address',
  );
}

/** Whether there is something to serve from. In a pod, the API server is found without a flag. */
function hasSource({ manifest, kubeconfig, master }: RunFlags): boolean {
  const inPod = process.env.KUBERNETES_SERVICE_HOST !== undefined;
  return manifest.length > 0 || kubeconfig !== undefined || master !== undefined || inPod;
}

/*
 * Code that calls the kernel is imported only where it is used, so that --help and status need neither its
 * memory nor its native library.
 */

async function cleanup({ stateDir, carrierMarkMask }: RunFlags): Promise<void> {
  const { removeEverything } = await import('./cleanup.js');
  await removeEverything(stateDir, carrierMarkMask);
}

async function serve(flags: RunFlags, log: Log, config: ConfigWatch | null): Promise<void> {
  keepHeapSmall();
  const { listenForSignals } = await import('./signals.js');
  const stopRequests = listenForSignals(log.logger);
  await config?.start();
  try {
    const stop = config === null ? stopRequests.stop : Promise.race([stopRequests.stop, config.changed]);
    await serveUntil({ ...stopRequests, stop }, flags, log, config);
  } finally {
    config?.stop();
  }
  if (config?.hasChanged) throw new Error(`the content of --config ${flags.config} has changed`);
}

async function serveUntil(
  stopRequests: StopRequests,
  flags: RunFlags,
  log: Log,
  config: ConfigWatch | null,
): Promise<void> {
  const [{ Daemon }, shutdown] = await Promise.all([import('./daemon.js'), import('./shutdown.js')]);
  const limit = () => shutdown.limitShutdown(log.logger, shutdown.maxShutdownMs(flags.drainTimeout));
  stopRequests.stop.then(limit, limit);
  const daemon = await Daemon.start(flags, log, stopRequests);
  try {
    await Promise.race([stopRequests.stop, daemon.broken]);
  } finally {
    limit();
    await daemon.stop({ keepRules: config?.hasChanged || flags.keepRules });
  }
}

function watchConfig({ config }: RunFlags, text: string | undefined, log: Logger): ConfigWatch | null {
  return config === undefined || text === undefined ? null : new ConfigWatch(config, text, log);
}
