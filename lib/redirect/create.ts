import type { Logger } from 'pino';
import type { CarrierNumbers } from '../portal/carrier.js';
import { AddressDriver } from './address.js';
import { clearAddresses } from './clearaddresses.js';
import { clearIptables } from './cleariptables.js';
import { type RunCommand, runCommand } from './command.js';
import { type RedirectDriver, RedirectError } from './driver.js';
import { IptablesDriver } from './iptables.js';
import { warnOfKubeProxy } from './kubeproxy.js';
import { clearLeftovers } from './leftovers.js';
import { unsupportedByAddress } from './loopback.js';
import { NoneDriver } from './none.js';
import { PerFamilyDriver } from './perfamily.js';
import type { PortRange } from './rules.js';
import { findBackends } from './xtables.js';

export type RedirectMode = 'auto' | 'iptables' | 'address' | 'none';

export interface RedirectOptions {
  readonly log: Logger;
  /** Directory in which the address driver records its addresses. */
  readonly stateDir: string;
  /** Where the proxy ports listen. */
  readonly bindAddress: { readonly IPv4: string; readonly IPv6: string };
  /** Where the proxy ports are taken from. */
  readonly proxyPortRange: PortRange;
  /** By these numbers the kernel finds what workers have let it carry. */
  readonly carrier: CarrierNumbers;
  /** Runs programs. Default: {@link runCommand}. */
  readonly run?: RunCommand;
}

/**
 * The driver for `--redirect`. With `auto`, a family gets iptables if iptables redirects a datagram on this
 * node. Else it gets addresses, and a log line says why. Rules or addresses that an earlier run left with
 * the other driver are removed.
 * @throws RedirectError if the chosen driver does not work on this node; the message says what to do
 */
export async function createRedirectDriver(
  mode: RedirectMode,
  options: RedirectOptions,
): Promise<RedirectDriver> {
  const driver = await open(mode, options);
  const { log, stateDir, run = runCommand } = options;
  if (driver.name === 'iptables') await clearLeftovers(log, 'the loopback device', clearAddresses(stateDir));
  if (driver.name === 'address') {
    // With `auto`, the attempt to open iptables has looked for kube-proxy already.
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

/**
 * A family gets iptables if iptables works for it, else addresses. IPv6 gets iptables only together with
 * IPv4.
 */
async function openBest(options: RedirectOptions, run: RunCommand): Promise<RedirectDriver> {
  const driver = await openWorking(options, run);
  for (const fallback of driver.fallbacks ?? []) options.log.info(fallback);
  return driver;
}

async function openWorking(options: RedirectOptions, run: RunCommand): Promise<RedirectDriver> {
  let iptables: IptablesDriver;
  try {
    iptables = await IptablesDriver.open({ ...options, run });
  } catch (error) {
    if (!(error instanceof RedirectError)) throw error;
    return AddressDriver.open({ ...options, noIptables: error.message });
  }
  const noIptables = iptables.missing.get('IPv6');
  if (noIptables === undefined || (await unsupportedByAddress()).has('IPv6')) return iptables;
  try {
    const address = await AddressDriver.open({ ...options, families: ['IPv6'], noIptables });
    return new PerFamilyDriver({ IPv4: iptables, IPv6: address });
  } catch (error) {
    if (!(error instanceof RedirectError)) throw error;
    options.log.debug({ reason: error.message }, 'IPv6 cannot be served with addresses either');
    return iptables;
  }
}
