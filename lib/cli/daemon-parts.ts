import type { Logger } from 'pino';
import { NodeAddresses } from '../controlplane/nodeaddresses.js';
import type { ProxyOptions } from '../controlplane/options.js';
import { ServiceProxy } from '../controlplane/proxy.js';
import { Commands } from '../redirect/command.js';
import { createRedirectDriver } from '../redirect/create.js';
import type { Source } from '../sources/source.js';
import { applyConntrack } from './conntrack-settings.js';
import { createSource } from './create-source.js';
import type { Log } from './log.js';
import { nodeNameOf } from './node-name.js';
import { primaryAddresses } from './primary-addresses.js';
import type { RunFlags } from './run-flags.js';
import { CLEANUP_MS, HURRIED_CLEANUP_MS } from './shutdown.js';
import type { StopRequests } from './signals.js';

/** The parts of a daemon that flags decide. */
export interface DaemonParts {
  readonly flags: RunFlags;
  readonly log: Log;
  readonly source: Source;
  readonly proxy: ServiceProxy;
  readonly commands: Commands;
  readonly nodeAddresses: NodeAddresses;
  /** Resolves on the second request to stop. */
  readonly hurry: Promise<void>;
}

/**
 * Makes the source and starts the proxy. On a request to stop, commands of the redirect driver get only as
 * much time as the shutdown has.
 * @throws Error that says what to do, see {@link ServiceProxy.start}
 */
export async function openParts(flags: RunFlags, log: Log, stopRequests: StopRequests): Promise<DaemonParts> {
  const { logger } = log;
  const source = await createSource(flags, nodeNameOf(flags), logger);
  const nodeAddresses = new NodeAddresses(flags.nodeportAddresses, () =>
    primaryAddresses(flags.bindAddress, source.node ?? null),
  );
  const options = proxyOptions(flags, nodeAddresses, logger);
  const commands = new Commands();
  const hurry = () => commands.hurry(flags.drainTimeout + CLEANUP_MS);
  stopRequests.stop.then(hurry, hurry);
  stopRequests.hurry.then(() => commands.hurry(HURRIED_CLEANUP_MS));
  const proxy = await ServiceProxy.start(options, () =>
    createRedirectDriver(flags.redirect, { ...options, run: commands.run }),
  );
  // After the rules, which load the module nf_conntrack. The address driver uses no connection tracking.
  if (proxy.usesConntrack) applyConntrack(flags, logger);
  return { flags, log, source, proxy, commands, nodeAddresses, hurry: stopRequests.hurry };
}

function proxyOptions(flags: RunFlags, nodeAddresses: NodeAddresses, log: Logger): ProxyOptions {
  return {
    workers: flags.workers,
    bindAddress: flags.bindAddress,
    nodeAddresses,
    proxyPortRange: flags.proxyPortRange,
    udpTimeoutMs: flags.udpTimeout ?? null,
    rtpsCopies: flags.rtpsCopies,
    maxPins: flags.maxPins,
    carrier: {
      mode: flags.carrier,
      markMask: flags.carrierMarkMask,
      firstQueue: flags.carrierQueue,
      masqueradeAll: flags.masqueradeAll ?? false,
      clusterCidrs: flags.clusterCidr,
    },
    syncPeriodMs: flags.iptablesSyncPeriod,
    stateDir: flags.stateDir,
    log,
  };
}
