import { setImmediate as otherWork } from 'node:timers/promises';
import { CidrSet } from '../net/cidr.js';
import { hostPort } from '../net/hostport.js';
import type { Protocol } from '../net/protocol.js';
import type { Portal } from '../portal/portal.js';
import { AF_INET6, IPPROTO_TCP } from '../sys/constants.js';
import type { FlowReader } from '../sys/netlink/flowreader.js';
import type { ActivePortal } from './activeportal.js';

/** Portals that are looked at without a pause: about a millisecond. */
const SLICE = 500;

type OwningPortal = Pick<ActivePortal, 'portal' | 'admission'>;

/** Finds the portals of tracked flows, as they are when it is made. */
export class VipOwners {
  /** By protocol, address and port; NodePorts by protocol, family and port. */
  readonly #owners = new Map<string, Owner>();
  readonly #byKey = new Map<string, Owner>();

  private constructor() {}

  static async of(portals: Iterable<OwningPortal>): Promise<VipOwners> {
    const owners = new VipOwners();
    for (const portal of portals) {
      owners.#add(new Owner(portal));
      if (owners.#byKey.size % SLICE === 0) await otherWork();
    }
    return owners;
  }

  /** The portal that serves a flow's client. Null: none has such a VIP. */
  portalOf({ protocol, vip, client }: Pick<FlowReader, 'protocol' | 'vip' | 'client'>): Portal | null {
    const name = protocol === IPPROTO_TCP ? 'TCP' : 'UDP';
    const family = vip.family === AF_INET6 ? 'IPv6' : 'IPv4';
    const { port } = vip;
    const owner =
      this.#owners.get(keyOf(name, vip.address, port)) ?? this.#owners.get(keyOf(name, family, port));
    if (owner === undefined) return null;
    const insiders = owner.insidersFor(() => client.address);
    return (insiders === null ? owner : (this.#byKey.get(insiders) ?? owner)).portal;
  }

  #add(owner: Owner): void {
    const { key, protocol, family, vips, nodePort } = owner.portal;
    this.#byKey.set(key, owner);
    for (const { address, port } of vips) this.#owners.set(keyOf(protocol, address, port), owner);
    if (nodePort !== null) this.#owners.set(keyOf(protocol, family, nodePort), owner);
  }
}

/** A portal, and which of its clients another one serves. */
class Owner {
  readonly portal: Portal;
  readonly #admission: ActivePortal['admission'];
  #insiders: CidrSet | null = null;

  constructor({ portal, admission }: OwningPortal) {
    this.portal = portal;
    this.#admission = admission;
  }

  /** The key of the portal that serves this client in its place; null: itself. */
  insidersFor(client: () => string): string | null {
    const { insiders } = this.#admission;
    if (insiders === null) return null;
    this.#insiders ??= new CidrSet(insiders.sources);
    return this.#insiders.has(client()) ? insiders.portal : null;
  }
}

function keyOf(protocol: Protocol, place: string, port: number): string {
  return `${protocol} ${hostPort(place, port)}`;
}
