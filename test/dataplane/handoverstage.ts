import { once } from 'node:events';
import { Dataplane } from '../../lib/dataplane/dataplane.js';
import type { DataplanePortal } from '../../lib/dataplane/dataplaneportal.js';
import { openListeners } from '../../lib/dataplane/listeners.js';
import type { UsedEndpoint } from '../../lib/dataplane/shared/endpoints.js';
import type { DataplaneEvent } from '../../lib/dataplane/shared/messages.js';
import type { Family } from '../../lib/net/address.js';
import { hostPort } from '../../lib/net/hostport.js';
import type { Protocol } from '../../lib/net/protocol.js';
import { EVERYONE } from '../../lib/portal/admission.js';
import { DEFAULT_POLICY, type ServicePolicy } from '../../lib/portal/policy.js';
import type { Masquerade, Vip } from '../../lib/portal/portal.js';
import { localAddress } from '../../lib/sys/socket.js';
import { Host } from '../lab/host.js';
import { sh } from '../redirect/namespace.js';

export const VIPS = { IPv4: '10.96.0.10', IPv6: 'fd00:96::10' } as const;
export const PORT = 80;
export const POD_PORT = 8080;
const MASK = 0x7000_0000;
const OWN_BIT = 0x4000_0000;
const QUEUE = 20_480;

/** A pod behind a veth pair of its own. This namespace is its router. */
export function addPod(name: string, number: number): Host {
  const [address4, address6] = [`10.244.0.${number}`, `fd00:244::${number.toString(16)}`];
  const device = `pod-${name}`;
  sh(`
    set -e
    ip netns add ${name}
    ip netns exec ${name} sh -c 'echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad'
    ip link add ${device} type veth peer name eth0 netns ${name}
    ip link set ${device} up
    ip addr add 10.244.255.1/32 dev ${device}
    ip addr add fd00:244:ff::1/128 dev ${device} nodad
    ip route add ${address4} dev ${device} src 10.244.255.1
    ip -6 route add ${address6} dev ${device} src fd00:244:ff::1
    ip -n ${name} link set lo up
    ip -n ${name} link set eth0 up
    ip -n ${name} addr add ${address4}/32 dev eth0
    ip -n ${name} addr add ${address6}/128 dev eth0 nodad
    ip -n ${name} route add 10.244.255.1 dev eth0
    ip -n ${name} route add default via 10.244.255.1
    ip -n ${name} route add fd00:244:ff::1 dev eth0
    ip -n ${name} route add default via fd00:244:ff::1
  `);
  return new Host({ name, namespace: name, address4, address6 });
}

/** This namespace, with the addresses that its programs have towards pods. */
export const NODE = new Host({
  name: 'node',
  namespace: 'node',
  address4: '10.244.255.1',
  address6: 'fd00:244:ff::1',
});

/** How many connections and flows with a mark of kube-portal the kernel tracks or remembers. */
export function carried(family: Family): number {
  const table = sh('cat /proc/net/nf_conntrack');
  return table
    .split('\n')
    .filter((line) => line.startsWith(family.toLowerCase()) && /mark=1073741824/.test(line)).length;
}

/**
 * Makes this namespace a node that forwards. What has no other route goes to a router that drops it: one
 * neighbour, because the kernel has room for 1,024 neighbours in all namespaces together (gc_thresh3).
 */
export function prepareNode(): void {
  sh(`
    set -e
    ip netns attach node $PPID
    echo 1 > /proc/sys/net/ipv4/ip_forward
    echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
    echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad
    ip link add world type veth peer name edge
    ip link set world up
    ip link set edge up
    ip addr add 192.0.2.1/24 dev world
    ip addr add fd00:2::1/64 dev world nodad
    ip neigh add 192.0.2.2 lladdr 02:00:00:00:00:02 dev world nud permanent
    ip neigh add fd00:2::2 lladdr 02:00:00:00:00:02 dev world nud permanent
    ip route add default via 192.0.2.2
    ip -6 route add default via fd00:2::2
  `);
}

export interface ServiceOptions {
  readonly family?: Family;
  readonly endpoints: readonly Host[];
  readonly policy?: Partial<ServicePolicy>;
  readonly masquerade?: Masquerade;
  /** @defaultValue true */
  readonly isCarried?: boolean;
  /** More addresses that clients use, with the same port. */
  readonly otherVips?: readonly string[];
}

/** A worker with a portal that the kernel carries, and the rules that bring its packets to the worker. */
export class HandoverStage {
  readonly events: DataplaneEvent[] = [];
  readonly #ids = new Map<Family, number>();
  readonly #listeners = new Map<Family, DataplanePortal['listeners']>();

  private constructor(
    readonly dataplane: Dataplane,
    readonly protocol: Protocol,
  ) {
    dataplane.on('event', (event) => this.events.push(event));
  }

  static async start(protocol: Protocol = 'TCP'): Promise<HandoverStage> {
    const dataplane = await Dataplane.start({
      workers: 1,
      descriptors: 1000,
      maxFlows: 100,
      maxPins: 100,
      udpTimeoutMs: null,
      rtpsCopies: 1000,
      carrier: { markMask: MASK, firstQueue: QUEUE, clusterCidrs: [] },
    });
    const { [protocol]: obstacle } = await dataplane.openCarrier();
    if (obstacle !== null) throw new Error(obstacle);
    const stage = new HandoverStage(dataplane, protocol);
    await stage.setForwarding('forwards');
    return stage;
  }

  setForwarding(state: 'forwards' | 'doubtful' | 'off'): Promise<void> {
    return this.dataplane.setForwarding({
      IPv4: state,
      IPv6: state,
      bridges: { IPv4: true, IPv6: true },
    });
  }

  /** Serves the VIP of a family by these endpoints. */
  async serve({
    family = 'IPv4',
    endpoints,
    policy = {},
    masquerade = 'never',
    otherVips = [],
    isCarried = true,
  }: ServiceOptions): Promise<void> {
    const vips = [VIPS[family], ...otherVips].map((address) => ({ address, port: PORT, masquerade }));
    if (!this.#ids.has(family)) this.open(family, vips);
    const portal: DataplanePortal = {
      id: this.#ids.get(family) as number,
      key: `default/web:/${this.protocol}/${family}`,
      service: 'default/web',
      protocol: this.protocol,
      family,
      listeners: this.#listeners.get(family) as DataplanePortal['listeners'],
      endpoints: endpoints.map(({ name, address4, address6 }) => ({
        id: name,
        address: family === 'IPv4' ? address4 : address6,
        port: POD_PORT,
      })),
      policy: { ...DEFAULT_POLICY, ...policy },
      admission: EVERYONE,
      onlyWorker: null,
      carriage: isCarried ? { vips, homeWorker: 0 } : null,
    };
    await this.dataplane.apply([portal], []);
  }

  counters(family: Family = 'IPv4') {
    return this.dataplane.counters(this.#ids.get(family) as number);
  }

  /** What the worker has counted of an endpoint. Undefined if nobody has used it. */
  async endpoint({ address4, address6 }: Host, family: Family = 'IPv4'): Promise<UsedEndpoint | undefined> {
    const id = this.#ids.get(family) as number;
    const sums = await this.dataplane.usedEndpoints([id]);
    return sums.of(id).get(hostPort(family === 'IPv4' ? address4 : address6, POD_PORT));
  }

  /** Waits for an event of the log. @param reason if the kind has one */
  async event(kind: DataplaneEvent['kind'], reason?: string): Promise<DataplaneEvent> {
    for (;;) {
      const found = this.events.find(
        (event) => event.kind === kind && (reason === undefined || Object.values(event).includes(reason)),
      );
      if (found !== undefined) return found;
      await once(this.dataplane, 'event');
    }
  }

  async stop(): Promise<void> {
    sh('iptables-restore </dev/null; iptables -t raw -F; iptables -t nat -F; iptables -t mangle -F');
    sh('ip6tables -t raw -F; ip6tables -t nat -F; ip6tables -t mangle -F');
    await this.dataplane.stop();
  }

  /** Opens the listener of a family and adds its rules, before the workers know of the portal. */
  open(family: Family = 'IPv4', vips: readonly Vip[] = [{ address: VIPS[family], port: PORT }]): void {
    const address = family === 'IPv4' ? '0.0.0.0' : '::';
    const { protocol } = this;
    const spec = { protocol, family, address, port: 0, neighbours: 'none', freeBind: false } as const;
    const group = openListeners({ ...spec, onlyWorker: null }, 1);
    const { port } = localAddress(group.fds[0] as number);
    this.#listeners.set(family, [{ group, redirectedPort: port }]);
    this.#ids.set(family, this.dataplane.takeId());
    const iptables = family === 'IPv4' ? 'iptables' : 'ip6tables';
    const own = `-m connmark --mark ${OWN_BIT}/${MASK} -m conntrack --ctdir REPLY`;
    const reset = `-p tcp --tcp-flags RST,ACK RST,ACK ${own} -m conntrack ! --ctstatus ASSURED`;
    const icmp = family === 'IPv4' ? 'icmp' : 'icmpv6';
    for (const chain of ['PREROUTING', 'OUTPUT']) {
      sh(`
        set -e
        ${vips.map((vip) => this.#rulesFor(vip, `${iptables} -t`, chain, port)).join('\n')}
        ${iptables} -t mangle -A ${chain} ${reset} -j NFQUEUE --queue-num ${QUEUE + 4} --queue-bypass
        ${iptables} -t mangle -A ${chain} -p ${icmp} -m ${icmp === 'icmp' ? 'icmp --icmp-type' : 'icmp6 --icmpv6-type'} destination-unreachable -m connmark --mark ${OWN_BIT}/${MASK} -j NFQUEUE --queue-num ${QUEUE + 4} --queue-bypass
      `);
    }
  }

  #rulesFor(vip: Vip, iptables: string, chain: string, proxyPort: number): string {
    const match = `-d ${vip.address} -p ${this.protocol.toLowerCase()} --dport ${vip.port}`;
    const redirect = `${iptables} nat -A ${chain} ${match} -j REDIRECT --to-ports ${proxyPort}`;
    if (this.protocol === 'UDP') {
      const first = `-m conntrack --ctstate NEW -m conntrack ! --ctstate DNAT -j NFQUEUE --queue-num ${QUEUE + 8}`;
      return `${iptables} mangle -A ${chain} ${match} ${first}\n${redirect}`;
    }
    const queue = `-j NFQUEUE --queue-num ${QUEUE}`;
    return `${iptables} raw -A ${chain} ${match} --tcp-flags FIN,SYN,RST,ACK SYN ${queue}\n${redirect}`;
  }
}
