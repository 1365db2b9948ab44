import { setImmediate as otherWork } from 'node:timers/promises';
import { EndpointLoads } from '../dataplane/shared/endpointloads.js';
import type { ListedSessions, Session, SessionFilter } from '../dataplane/shared/sessions.js';
import { hostPort } from '../net/hostport.js';
import { openConntrack } from '../redirect/carriedflows.js';
import { AF_INET6 } from '../sys/constants.js';
import type { ConntrackSocket } from '../sys/netlink/conntrack.js';
import type { FlowReader } from '../sys/netlink/flowreader.js';
import { SocketAddress } from '../sys/sockaddr.js';
import { addressAt, isSameAddress, isSameSocket } from '../sys/sockaddrwords.js';
import type { ActivePortals } from './activeportals.js';
import { carriedState, IdleTimes } from './carriedstate.js';
import { VipOwners } from './vipowners.js';

type Table = Pick<ConntrackSocket, 'visit' | 'close'>;

/** Lists the sessions that the kernel carries, from its table of tracked flows. */
export class CarriedSessions {
  readonly #portals: Pick<ActivePortals, 'present'>;
  readonly #ownBit: number;
  readonly #open: () => Table | null;

  /**
   * @param ownBit the bit of a mark that entries of workers have
   * @param open opens the table. Null: the kernel has none
   */
  constructor(
    portals: Pick<ActivePortals, 'present'>,
    ownBit: number,
    open: () => Table | null = openConntrack,
  ) {
    this.#portals = portals;
    this.#ownBit = ownBit;
    this.#open = open;
  }

  /**
   * The sessions, about a hundred at a time. The kernel goes on with its table when the caller wants more.
   * @param maxListed as in Dataplane.sessions
   * @throws SysError if the kernel is short of memory
   */
  async *sessions(filter: SessionFilter, maxListed: number): AsyncGenerator<ListedSessions> {
    const table = this.#open();
    if (table === null) return;
    try {
      const listing = new Listing(filter, maxListed, await VipOwners.of(this.#portals.present()));
      for (const _ of table.visit([this.#ownBit], this.#ownBit, (flow) => listing.meet(flow))) {
        yield listing.take();
        await otherWork();
      }
      yield listing.take();
    } finally {
      table.close();
    }
  }
}

/** Collects the sessions of one answer. */
class Listing {
  readonly #service: string | null;
  readonly #client: SocketAddress | null;
  readonly #owners: VipOwners;
  readonly #idleTimes = new IdleTimes();
  #left: number;
  #sessions: Session[] = [];
  #loads = new EndpointLoads();
  /** The flows since the last {@link take}, and those before it. */
  #met = new Set<number>();
  #metBefore = new Set<number>();

  constructor({ service, client }: SessionFilter, maxListed: number, owners: VipOwners) {
    this.#service = service;
    this.#client = client === null ? null : SocketAddress.of(client, 0);
    this.#owners = owners;
    this.#left = maxListed;
  }

  meet(flow: FlowReader): void {
    if (!isTranslated(flow) || this.#hasMet(flow)) return;
    if (this.#client !== null && !isSameHost(this.#client, flow.client)) return;
    const state = carriedState(flow);
    if (state === null) return;
    const owner = this.#owners.portalOf(flow);
    if (this.#service !== null && this.#service !== owner?.service) return;
    const portal = owner?.key ?? null;
    const endpoint = textOf(flow.endpoint);
    this.#loads.add({ portal, endpoint, sessions: 1 });
    if (this.#left === 0) return;
    this.#left--;
    this.#sessions.push({
      portal,
      client: textOf(flow.client),
      endpoint,
      carrier: 'kernel',
      state: state.name,
      idleMs: this.#idleTimes.of(state, flow.timeout),
      bytesIn: flow.hasCounters ? flow.bytesIn : null,
      bytesOut: flow.hasCounters ? flow.bytesOut : null,
    });
  }

  /** What was met since the last call. */
  take(): ListedSessions {
    const listed = { sessions: this.#sessions, loads: this.#loads.all };
    this.#sessions = [];
    this.#loads = new EndpointLoads();
    this.#metBefore = this.#met;
    this.#met = new Set();
    return listed;
  }

  /**
   * If the flow ends with which the kernel wants to go on, it begins with that flow's bucket again
   * (ctnetlink_dump_table).
   */
  #hasMet({ id, client }: FlowReader): boolean {
    const key = id * 2 ** 16 + client.port;
    this.#met.add(key);
    return this.#metBefore.has(key);
  }
}

/** Whether a worker has made the entry. Other programs may mark flows too, but they do not translate them. */
function isTranslated({ vip, endpoint }: FlowReader): boolean {
  return !isSameSocket(vip.memory.words, 0, endpoint.memory.words, 0, vip.family === AF_INET6);
}

function isSameHost(a: SocketAddress, b: SocketAddress): boolean {
  const isV6 = a.family === AF_INET6;
  const at = addressAt(0, isV6);
  return a.family === b.family && isSameAddress(a.memory.words, at, b.memory.words, at, isV6);
}

function textOf({ address, port }: SocketAddress): string {
  return hostPort(address, port);
}
