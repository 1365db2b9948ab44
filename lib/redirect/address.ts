import { readFile } from 'node:fs/promises';
import type { Logger } from 'pino';
import { addressBytes, addressText, FAMILIES, type Family, familyOf } from '../net/address.js';
import { ADDRESSES_FILE, StateFile, type StateMemory } from '../state/statefile.js';
import { EADDRNOTAVAIL, EEXIST, errnoName } from '../sys/errno.js';
import { type AddressFailure, type DeviceAddress, RouteSocket } from '../sys/netlink/rtnetlink.js';
import { addressMemory, recordedAddresses } from './addressrecord.js';
import {
  type Capture,
  type PreparedChange,
  type Redirect,
  type RedirectChange,
  type RedirectDriver,
  RedirectError,
  RedirectsRefused,
} from './driver.js';
import { OneChange } from './onechange.js';
import { PortGate } from './portgate.js';

const IPV6_ADVICE = 'enable IPv6 on lo (sysctl -w net.ipv6.conf.lo.disable_ipv6=0)';

export interface AddressOptions {
  readonly log: Logger;
  readonly stateDir: string;
  /** What it serves. Default: both. */
  readonly families?: readonly Family[];
  /** Why iptables does not serve them, where it was to. */
  readonly noIptables?: string;
}

/** Addresses of the loopback device, as they were found and as they should be. */
interface Difference {
  readonly ours: readonly string[];
  readonly missing: readonly string[];
  /** Ours, and not wanted any more. */
  readonly stale: readonly string[];
}

/**
 * Makes each VIP an address of the loopback device, so that its traffic ends on this node and portals can
 * listen on it. It needs neither netfilter nor any program. The node then answers for the VIP on its links
 * too, as with every address it has; a {@link PortGate} keeps the clients from what else listens there.
 */
export class AddressDriver implements RedirectDriver {
  readonly name = 'address';
  readonly bringsTraffic = true;
  readonly #change = new OneChange();
  readonly #redirects = new Map<string, Redirect>();
  /** Each address in its plain form, with the number of redirects that want it. */
  readonly #wanted = new Map<string, number>();
  /** Whether the file says what {@link recorded} says. */
  #isRecorded = true;

  readonly #log: Logger;
  readonly #routes: RouteSocket;
  readonly #memory: StateMemory;
  #recorded: ReadonlySet<string>;

  private constructor(
    log: Logger,
    routes: RouteSocket,
    memory: StateMemory,
    /** What is ours on the loopback device, or about to be, as the kernel may not be able to tell. */
    recorded: ReadonlySet<string>,
    readonly unsupported: ReadonlyMap<Family, string>,
    readonly fallbacks: readonly string[],
    readonly gate: PortGate,
  ) {
    this.#log = log;
    this.#routes = routes;
    this.#memory = memory;
    this.#recorded = recorded;
  }

  /** @throws RedirectError if the loopback device is down */
  static async open({
    log,
    stateDir,
    families = FAMILIES,
    noIptables,
  }: AddressOptions): Promise<AddressDriver> {
    const routes = openRoutes();
    try {
      if (!routes.isLoopbackUp()) {
        throw new RedirectError('the loopback device is down: ip link set lo up');
      }
      const memory = addressMemory(stateDir, log);
      const recorded = (await memory.recall(recordedAddresses)) ?? new Set();
      const unsupported = await unsupportedByAddress();
      const gate = PortGate.open(log, families);
      gate.gateOnly(oursAmong(await routes.addresses(), recorded));
      await gate.look();
      const served = families.filter((family) => !unsupported.has(family));
      const fallbacks =
        noIptables === undefined ? [] : served.map((family) => describeFallback(family, noIptables));
      return new AddressDriver(log, routes, memory, recorded, unsupported, fallbacks, gate);
    } catch (error) {
      routes.close();
      throw error;
    }
  }

  captureOf(): Capture {
    return 'address';
  }

  async prepare({ set, remove }: RedirectChange): Promise<PreparedChange> {
    this.#change.begin();
    for (const id of remove) this.#forget(id);
    for (const redirect of set) {
      this.#forget(redirect.id);
      this.#redirects.set(redirect.id, redirect);
      this.#count(redirect, 1);
    }
    try {
      const difference = await this.#look();
      return this.#change.prepared(async () => void (await this.#synchronize(difference)));
    } catch (error) {
      this.#change.end();
      throw error;
    }
  }

  async audit(): Promise<number> {
    this.#change.end();
    await this.gate.look();
    return this.#synchronize(await this.#look());
  }

  async clear(): Promise<void> {
    this.#redirects.clear();
    this.#wanted.clear();
    await removeFromLoopback(this.#routes, oursAmong(await this.#routes.addresses(), this.#recorded));
    this.#recorded = new Set();
    this.gate.close();
    await this.#memory.forget();
  }

  #forget(id: string): void {
    const redirect = this.#redirects.get(id);
    if (redirect === undefined) return;
    this.#redirects.delete(id);
    this.#count(redirect, -1);
  }

  #count({ vips }: Redirect, step: 1 | -1): void {
    for (const { address } of vips) {
      const number = (this.#wanted.get(plain(address)) ?? 0) + step;
      if (number === 0) this.#wanted.delete(plain(address));
      else this.#wanted.set(plain(address), number);
    }
  }

  /** Compares the loopback device with what is wanted, and notes what will be added. @throws RedirectError */
  async #look(): Promise<Difference> {
    const wanted = this.#wanted;
    const all = await this.#routes.addresses();
    const present = new Set(all.map(({ address }) => address));
    const missing = [...wanted.keys()].filter((address) => !present.has(address));
    const ours = oursAmong(all, this.#recorded);
    await this.#remember([...ours, ...missing]);
    return { ours, missing, stale: ours.filter((address) => !wanted.has(address)) };
  }

  /** Resolves to the number of addresses added and removed. @throws RedirectError */
  async #synchronize({ ours, missing, stale }: Difference): Promise<number> {
    const failures = await this.#routes.addToLoopback(missing);
    await removeFromLoopback(this.#routes, stale);
    const notOurs = new Set([...stale, ...failures.map(({ address }) => address)]);
    await this.#remember([...ours, ...missing].filter((address) => !notOurs.has(address)));
    this.#report(failures);
    return missing.length - failures.length + stale.length;
  }

  /**
   * Written before an address is added,
   * so that a killed process leaves nothing that its successor does not know.
   */
  async #remember(addresses: readonly string[]): Promise<void> {
    this.gate.gateOnly(addresses);
    const next = new Set(addresses);
    const isSame =
      next.size === this.#recorded.size && addresses.every((address) => this.#recorded.has(address));
    this.#recorded = next;
    if (isSame && this.#isRecorded) return;
    this.#isRecorded = await this.#memory.keep({ addresses: [...next] });
  }

  #report(failures: readonly AddressFailure[]): void {
    const real = failures.filter(({ address, code }) => {
      if (code !== EEXIST) return true;
      this.#log.info({ address }, 'the address appeared by itself; it is used and will not be removed');
      return false;
    });
    const [first, ...others] = real;
    if (first === undefined) return;
    const { address, code } = first;
    const more = others.length > 0 ? ` and ${others.length} more` : '';
    const labels = this.#redirectsTo(new Set([address])).map(({ label }) => label);
    throw new RedirectsRefused(
      `cannot add ${address} for ${labels.slice(0, 1).join()}${more} to the loopback device: ${errnoName(code)}; ${advice(address)}`,
      this.#redirectsTo(new Set(real.map((failure) => failure.address))).map(({ id }) => id),
    );
  }

  #redirectsTo(addresses: ReadonlySet<string>): Redirect[] {
    const isOne = ({ vips }: Redirect) => vips.some((vip) => addresses.has(plain(vip.address)));
    return [...this.#redirects.values()].filter(isOne);
  }
}

/**
 * Removes the addresses that an earlier run left.
 * @returns how many there were
 * @throws RedirectError
 */
export async function clearAddresses(stateDir: string): Promise<number> {
  const file = new StateFile(stateDir, ADDRESSES_FILE);
  const recorded = await file.read(recordedAddresses).catch((error: Error) => error);
  const isDamaged = recorded instanceof Error;
  const routes = openRoutes();
  try {
    const ours = oursAmong(await routes.addresses(), isDamaged || recorded === null ? new Set() : recorded);
    await removeFromLoopback(routes, ours);
    await file.remove();
    if (!isDamaged) return ours.length;
  } finally {
    routes.close();
  }
  throw new RedirectError(
    `${recorded.message}; it is removed, with all addresses that the kernel knows to be ours; look at "ip addr show dev lo" for others`,
  );
}

/**
 * The addresses of the loopback device that this program made; where the kernel cannot tell,
 * those that it noted as well.
 */
function oursAmong(all: readonly DeviceAddress[], recorded: ReadonlySet<string>): string[] {
  return all
    .filter(({ address, ours }) => ours === 'yes' || (ours === 'maybe' && recorded.has(address)))
    .map(({ address }) => address);
}

/** A kernel without IPv6 has no such file; where it is disabled on the device, no address can be added. */
export async function unsupportedByAddress(): Promise<Map<Family, string>> {
  const disabled = await readFile('/proc/sys/net/ipv6/conf/lo/disable_ipv6', 'utf8').catch(() => '1');
  if (disabled.trim() === '0') return new Map();
  return new Map([
    ['IPv6', `this node has no IPv6 on its loopback device; ${IPV6_ADVICE}, then start again`],
  ]);
}

function describeFallback(family: Family, noIptables: string): string {
  return `${family} is served with addresses on the loopback device, not with iptables: ${noIptables}`;
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
async function removeFromLoopback(routes: RouteSocket, addresses: readonly string[]): Promise<void> {
  const failures = await routes.removeFromLoopback(addresses);
  const real = failures.find(({ code }) => code !== EADDRNOTAVAIL);
  if (real === undefined) return;
  throw new RedirectError(
    `cannot remove ${real.address} from the loopback device: ${errnoName(real.code)}; run as root`,
  );
}

function advice(address: string): string {
  return familyOf(address) === 'IPv6' ? `run as root; ${IPV6_ADVICE}` : 'run as root';
}
