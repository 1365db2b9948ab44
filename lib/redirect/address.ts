import type { Logger } from 'pino';
import { FAMILIES, type Family } from '../net/address.js';
import type { StateMemory } from '../state/statefile.js';
import { EEXIST, errnoName } from '../sys/errno.js';
import type { AddressFailure, RouteSocket } from '../sys/netlink/rtnetlink.js';
import { addressMemory, recordedAddresses } from './addressrecord.js';
import {
  type Capture,
  type CarrierSupport,
  noCarrier,
  type PreparedChange,
  type RedirectChange,
  type RedirectDriver,
  RedirectError,
  RedirectsRefused,
} from './driver.js';
import { adviceFor, openRoutes, oursAmong, removeFromLoopback, unsupportedByAddress } from './loopback.js';
import { OneChange } from './onechange.js';
import { PortGate } from './portgate.js';
import { WantedVips } from './wantedvips.js';

export interface AddressOptions {
  readonly log: Logger;
  readonly stateDir: string;
  /** The families of the VIPs that the driver serves. Default: both. */
  readonly families?: readonly Family[];
  /** Why iptables does not serve these families. Left out: nobody asked for iptables. */
  readonly noIptables?: string;
}

/** The addresses of the loopback device, compared with the wanted ones. */
interface Difference {
  /** Addresses of the device that kube-portal added. */
  readonly ours: readonly string[];
  /** Wanted, but not on the device. */
  readonly missing: readonly string[];
  /** Ours, but not wanted any more. */
  readonly stale: readonly string[];
}

/**
 * Makes each VIP an address of the loopback device, so that its traffic ends on this node and portals can
 * listen on it. This needs neither netfilter nor any program. The node then also answers ARP
 * requests for the VIP on its links. A {@link PortGate} keeps clients of the VIP from other programs
 * that listen on all addresses.
 */
export class AddressDriver implements RedirectDriver {
  readonly name = 'address';
  readonly bringsTraffic = true;
  readonly #change = new OneChange();
  readonly #vips = new WantedVips();
  /** Whether the file holds the addresses of `#recorded`. */
  #isRecorded = true;

  readonly #log: Logger;
  readonly #routes: RouteSocket;
  readonly #memory: StateMemory;
  /** The addresses that are ours, or that will be added next: some kernels cannot tell which are ours. */
  #recorded: ReadonlySet<string>;

  private constructor(
    log: Logger,
    routes: RouteSocket,
    memory: StateMemory,
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

  async openCarrier(): Promise<CarrierSupport> {
    return noCarrier('VIPs are addresses of this node; the kernel carries with --redirect=iptables only');
  }

  async prepare({ set, remove }: RedirectChange): Promise<PreparedChange> {
    this.#change.begin();
    for (const id of remove) this.#vips.delete(id);
    for (const redirect of set) this.#vips.set(redirect);
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
    this.#vips.clear();
    await removeFromLoopback(this.#routes, oursAmong(await this.#routes.addresses(), this.#recorded));
    this.#recorded = new Set();
    this.gate.close();
    await this.#memory.forget();
  }

  /**
   * Compares the loopback device with the wanted addresses, and records the addresses that will be added.
   * @throws RedirectError
   */
  async #look(): Promise<Difference> {
    const all = await this.#routes.addresses();
    const present = new Set(all.map(({ address }) => address));
    const missing = this.#vips.addresses.filter((address) => !present.has(address));
    const ours = oursAmong(all, this.#recorded);
    await this.#remember([...ours, ...missing]);
    return { ours, missing, stale: ours.filter((address) => !this.#vips.has(address)) };
  }

  /**
   * Adds and removes addresses. Resolves to their number.
   * @throws RedirectError
   */
  async #synchronize({ ours, missing, stale }: Difference): Promise<number> {
    const failures = await this.#routes.addToLoopback(missing);
    await removeFromLoopback(this.#routes, stale);
    const notOurs = new Set([...stale, ...failures.map(({ address }) => address)]);
    await this.#remember([...ours, ...missing].filter((address) => !notOurs.has(address)));
    this.#report(failures);
    return missing.length - failures.length + stale.length;
  }

  /** An address is recorded before it is added: if this process is killed, the next run can remove it. */
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
    const refused = failures.filter(({ address, code }) => {
      if (code !== EEXIST) return true;
      this.#log.info(
        { address },
        'another program added this address; VIP traffic uses it, and kube-portal will not remove it',
      );
      return false;
    });
    const [first, ...others] = refused;
    if (first === undefined) return;
    const { address, code } = first;
    const more = others.length > 0 ? ` and ${others.length} more` : '';
    const labels = this.#vips.redirectsTo(new Set([address])).map(({ label }) => label);
    throw new RedirectsRefused(
      `cannot add ${address} for ${labels.slice(0, 1).join()}${more} to the loopback device: ${errnoName(code)}; ${adviceFor(address)}`,
      this.#vips.redirectsTo(new Set(refused.map((failure) => failure.address))).map(({ id }) => id),
    );
  }
}

function describeFallback(family: Family, noIptables: string): string {
  return `${family} is served with addresses on the loopback device, not with iptables: ${noIptables}`;
}
