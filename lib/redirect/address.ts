import { readFile } from 'node:fs/promises';
import type { Logger } from 'pino';
import type { Family } from '../model/portal.js';
import { EADDRNOTAVAIL, EEXIST, errnoName } from '../sys/errno.js';
import { type AddressFailure, RouteSocket } from '../sys/rtnetlink.js';
import { addressBytes, addressText } from '../sys/sockaddr.js';
import { AddressRecord } from './addressrecord.js';
import { type Redirect, type RedirectChange, type RedirectDriver, RedirectError } from './driver.js';

const IPV6_ADVICE = 'enable IPv6 on lo (sysctl -w net.ipv6.conf.lo.disable_ipv6=0)';

export interface AddressOptions {
  readonly log: Logger;
  readonly stateDir: string;
}

/**
 * Makes each VIP an address of the loopback device, so that its traffic ends on this node and portals can listen
 * on it. It needs neither netfilter nor any program. The node then answers for the VIP on its links too, as
 * with every address it has.
 */
export class AddressDriver implements RedirectDriver {
  readonly name = 'address';
  readonly capture = 'address';
  private readonly redirects = new Map<string, Redirect>();
  /** Each address in its plain form, with the number of redirects that want it. */
  private readonly wanted = new Map<string, number>();

  private constructor(
    private readonly log: Logger,
    private readonly routes: RouteSocket,
    private readonly record: AddressRecord,
    /** Ours on the loopback device, or about to be. */
    private owned: Set<string>,
    readonly unsupported: ReadonlyMap<Family, string>,
  ) {}

  /** @throws RedirectError if the loopback device is down or the state directory is not usable */
  static async open({ log, stateDir }: AddressOptions): Promise<AddressDriver> {
    const routes = openRoutes();
    try {
      if (!routes.loopbackIsUp()) {
        throw new RedirectError('the loopback device is down: ip link set lo up');
      }
      const record = new AddressRecord(stateDir);
      return new AddressDriver(log, routes, record, await record.read(), await findUnsupported());
    } catch (error) {
      routes.close();
      throw error;
    }
  }

  async apply({ set, remove }: RedirectChange, listening?: Promise<void>): Promise<void> {
    for (const id of remove) this.forget(id);
    for (const redirect of set) {
      this.forget(redirect.id);
      this.redirects.set(redirect.id, redirect);
      this.count(redirect, 1);
    }
    await this.synchronize(listening);
  }

  audit(): Promise<number> {
    return this.synchronize();
  }

  async clear(): Promise<void> {
    this.redirects.clear();
    this.wanted.clear();
    await removeOwned(this.routes, this.owned);
    this.owned = new Set();
    await this.record.delete();
  }

  private forget(id: string): void {
    const redirect = this.redirects.get(id);
    if (redirect === undefined) return;
    this.redirects.delete(id);
    this.count(redirect, -1);
  }

  private count({ vips }: Redirect, step: 1 | -1): void {
    for (const { address } of vips) {
      const number = (this.wanted.get(plain(address)) ?? 0) + step;
      if (number === 0) this.wanted.delete(plain(address));
      else this.wanted.set(plain(address), number);
    }
  }

  /** Resolves to the number of addresses added and removed. @throws RedirectError */
  private async synchronize(listening?: Promise<void>): Promise<number> {
    const { wanted } = this;
    const present = new Set((await this.routes.addresses()).map(({ address }) => address));
    const missing = [...wanted.keys()].filter((address) => !present.has(address));
    const stale = [...this.owned].filter((address) => !wanted.has(address));
    await this.own([...this.owned, ...missing]);
    await listening;
    const failures = await this.routes.addToLoopback(missing);
    await removeOwned(this.routes, stale);
    const notOurs = new Set([...stale, ...failures.map(({ address }) => address)]);
    await this.own([...this.owned].filter((address) => !notOurs.has(address)));
    this.report(failures);
    return missing.length - failures.length + stale.length;
  }

  private async own(addresses: readonly string[]): Promise<void> {
    const next = new Set(addresses);
    // Either a few were added or a few were taken away, never both.
    if (next.size === this.owned.size) return;
    await this.record.write(next);
    this.owned = next;
  }

  private report(failures: readonly AddressFailure[]): void {
    const real = failures.filter(({ address, code }) => {
      if (code !== EEXIST) return true;
      this.log.info({ address }, 'the address appeared by itself; it is used and will not be removed');
      return false;
    });
    if (real.length === 0) return;
    const [{ address, code }] = real;
    const more = real.length > 1 ? ` and ${real.length - 1} more` : '';
    const [{ label }] = this.redirectsTo(new Set([address]));
    throw new RedirectError(
      `cannot add ${address} for ${label}${more} to the loopback device: ${errnoName(code)}; ${advice(address)}`,
      this.redirectsTo(new Set(real.map((failure) => failure.address))).map(({ id }) => id),
    );
  }

  private redirectsTo(addresses: ReadonlySet<string>): Redirect[] {
    const isOne = ({ vips }: Redirect) => vips.some((vip) => addresses.has(plain(vip.address)));
    return [...this.redirects.values()].filter(isOne);
  }
}

/**
 * Removes the addresses that an earlier run recorded.
 * @returns how many it had recorded
 * @throws RedirectError
 */
export async function clearAddresses(stateDir: string): Promise<number> {
  const record = new AddressRecord(stateDir);
  const owned = await record.read();
  if (owned.size === 0) return 0;
  const routes = openRoutes();
  try {
    await removeOwned(routes, owned);
  } finally {
    routes.close();
  }
  await record.delete();
  return owned.size;
}

/** A kernel without IPv6 has no such file; where it is disabled on the device, no address can be added. */
async function findUnsupported(): Promise<Map<Family, string>> {
  const disabled = await readFile('/proc/sys/net/ipv6/conf/lo/disable_ipv6', 'utf8').catch(() => '1');
  if (disabled.trim() === '0') return new Map();
  return new Map([
    ['IPv6', `this node has no IPv6 on its loopback device; ${IPV6_ADVICE}, then start again`],
  ]);
}

/** The spelling that the kernel uses. */
function plain(address: string): string {
  return addressText(addressBytes(address));
}

function openRoutes(): RouteSocket {
  try {
    return new RouteSocket();
  } catch (error) {
    throw new RedirectError(`cannot talk to the kernel about addresses (${(error as Error).message})`);
  }
}

/** An address that somebody took away before us is as good as removed. */
async function removeOwned(routes: RouteSocket, owned: Iterable<string>): Promise<void> {
  const failures = await routes.removeFromLoopback([...owned]);
  const real = failures.find(({ code }) => code !== EADDRNOTAVAIL);
  if (real === undefined) return;
  throw new RedirectError(
    `cannot remove ${real.address} from the loopback device: ${errnoName(real.code)}; run as root`,
  );
}

function advice(address: string): string {
  return address.includes(':') ? `run as root; ${IPV6_ADVICE}` : 'run as root';
}
