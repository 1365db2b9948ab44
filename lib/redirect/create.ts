import type { Logger } from 'pino';
import { AddressDriver, clearAddresses } from './address.js';
import { type RunCommand, runCommand } from './command.js';
import { type RedirectDriver, RedirectError } from './driver.js';
import { clearIptables, IptablesDriver } from './iptables.js';
import { warnOfKubeProxy } from './kubeproxy.js';
import { clearLeftovers } from './leftovers.js';
import { NoneDriver } from './none.js';
import type { PortRange } from './rules.js';
import { findBackends } from './xtables.js';

export type RedirectMode = 'auto' | 'iptables' | 'address' | 'none';

export interface RedirectOptions {
  readonly log: Logger;
  /** Where the address driver remembers which addresses are its own. */
  readonly stateDir: string;
  /** Where the proxy ports listen. */
  readonly bindAddress: { readonly IPv4: string; readonly IPv6: string };
  /** Where the proxy ports are taken from. */
  readonly proxyPortRange: PortRange;
  /** How programs are run. */
  readonly run?: RunCommand;
}

/**
 * The driver for `--redirect`. `auto` takes iptables where it really redirects a datagram, else addresses.
 * What a driver of the other kind left behind in an earlier run is removed.
 * @throws RedirectError if the chosen driver cannot work here; the message says what to do
 */
export async function createRedirectDriver(
  mode: RedirectMode,
  options: RedirectOptions,
): Promise<RedirectDriver> {
  const driver = await open(mode, options);
  const { log, stateDir, run = runCommand } = options;
  if (driver.name === 'iptables') await clearLeftovers(log, 'the loopback device', clearAddresses(stateDir));
  if (driver.name === 'address') {
    // In mode auto, the driver that was tried first has looked for it.
    const looked = mode === 'address' ? lookForKubeProxy(log, run) : null;
    await Promise.all([clearLeftovers(log, 'iptables', clearIptables(run)), looked]);
  }
  return driver;
}

async function lookForKubeProxy(log: Logger, run: RunCommand): Promise<void> {
  warnOfKubeProxy(log, await findBackends(run).catch(() => []));
}

function open(mode: RedirectMode, options: RedirectOptions): Promise<RedirectDriver> {
  const { run = runCommand } = options;
  switch (mode) {
    case 'iptables':
      return IptablesDriver.open({ ...options, run });
    case 'address':
      return AddressDriver.open(options);
    case 'none':
      return Promise.resolve(new NoneDriver());
    case 'auto':
      return openBest(options, run);
  }
}

async function openBest(options: RedirectOptions, run: RunCommand): Promise<RedirectDriver> {
  try {
    const driver = await IptablesDriver.open({ ...options, run });
    options.log.info('redirect: iptables, as a probe datagram was redirected');
    return driver;
  } catch (error) {
    if (!(error instanceof RedirectError)) throw error;
    const driver = await AddressDriver.open(options);
    options.log.info({ reason: error.message }, 'redirect: addresses on the loopback device');
    return driver;
  }
}
