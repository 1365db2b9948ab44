import { readdirSync } from 'node:fs';
import { Host } from './host.js';
import { linkPod, type PodLink } from './podlink.js';
import { run, runOrThrow } from './program.js';

export interface LabOptions {
  /** Names of the pods to begin with. */
  readonly pods?: readonly string[];
  /** How pods are joined to the node. @defaultValue `bridge port` */
  readonly link?: PodLink;
  /** Marks one iptables back end as the kubelet does, so that it is the one the node's programs choose. */
  readonly iptables?: 'nft' | 'legacy';
}

/** A pod: one host behind the node, with room for as many client addresses as a test wants. */
export class Pod extends Host {
  /** Among the node's pods, from 2 on. */
  readonly number: number;
  readonly #node: Host;
  #extra = 0;

  constructor(namespace: string, name: string, number: number, node: Host) {
    super({ name, namespace, address4: `10.244.0.${number}`, address6: `fd00:244::${number.toString(16)}` });
    this.#node = node;
    this.number = number;
  }

  /** Gives the pod more addresses to be a client with. Resolves to them. @param count at most 250 */
  async addAddresses(count: number, family: 'IPv4' | 'IPv6' = 'IPv4'): Promise<string[]> {
    const first = this.#extra + 1;
    this.#extra += count;
    const addresses = Array.from({ length: count }, (_, i) => this.#extraAddress(family, first + i));
    const length = family === 'IPv4' ? 32 : 128;
    await this.ip(addresses.map((address) => `addr add ${address}/${length} dev eth0 nodad`).join('\n'));
    return addresses;
  }

  /** Makes every address of a range this pod's own, to bind and to receive on: a range of spoofed clients. */
  async ownRange(cidr: string): Promise<void> {
    await this.ip(`route add local ${cidr} dev lo`);
    await this.#node.ip(`route add ${cidr} via ${this.address4}`);
  }

  #extraAddress(family: 'IPv4' | 'IPv6', index: number): string {
    return family === 'IPv4'
      ? `10.244.${this.number}.${index}`
      : `fd00:244::${this.number}:${index.toString(16)}`;
  }
}

/** Every namespace of a lab begins with this and the process id of the test. */
const PREFIX = 'kp-lab';
const NODE_PORT_ON_BRIDGE = { address4: '10.244.0.1', address6: 'fd00:244::1' };
/** The node's addresses in the world outside; {@link Lab.node} has those on the bridge. */
export const NODE_UPLINK = { address4: '192.0.2.1', address6: 'fd00:2::1' };
const OUTSIDE = { address4: '192.0.2.2', address6: 'fd00:2::2' };

/**
 * A small cluster network of the test's own, made of network namespaces:
 *
 *     outside 192.0.2.2 ── node 192.0.2.1 │ bridge 10.244.0.1/16 ── pods 10.244.0.2, .3, …
 *
 * and the same with IPv6. {@link PodLink} says how pods are joined to the node. The node's default route
 * leads outside, so that programs of the node can send to a VIP before it is redirected.
 */
export class Lab {
  static #count = 0;
  readonly node: Host;
  /** A machine of another network: a client of node ports and of external addresses. */
  readonly outside: Host;
  readonly #prefix: string;
  readonly #link: PodLink;
  readonly #pods = new Map<string, Pod>();
  readonly #remotes: Host[] = [];
  #lastPod = 1;
  #destroyed = false;

  private constructor(prefix: string, link: PodLink) {
    this.#prefix = prefix;
    this.#link = link;
    this.node = new Host({ name: 'node', namespace: `${prefix}-node`, ...NODE_PORT_ON_BRIDGE });
    this.outside = new Host({ name: 'outside', namespace: `${prefix}-outside`, ...OUTSIDE });
  }

  /** Makes a lab that goes when the test ends. Needs root. */
  static async forTest(
    t: { teardown(run: () => Promise<void>): unknown },
    options: LabOptions = {},
  ): Promise<Lab> {
    const lab = await Lab.create(options);
    t.teardown(() => lab.destroy());
    return lab;
  }

  /** Needs root. */
  static async create({ pods = [], link = 'bridge port', iptables }: LabOptions = {}): Promise<Lab> {
    await removeStale();
    const lab = new Lab(`${PREFIX}-${process.pid}-${++Lab.#count}`, link);
    try {
      await lab.#buildNode();
      for (const pod of pods) await lab.addPod(pod);
      if (iptables !== undefined) await lab.#markBackend(iptables);
    } catch (error) {
      await lab.destroy();
      throw error;
    }
    return lab;
  }

  /** @throws Error where there is no such pod */
  pod(name: string): Pod {
    const pod = this.#pods.get(name);
    if (pod === undefined) throw new Error(`no pod ${name} in the lab; there are ${[...this.#pods.keys()]}`);
    return pod;
  }

  async addPod(name: string): Promise<Pod> {
    const pod = new Pod(`${this.#prefix}-${name}`, name, ++this.#lastPod, this.node);
    await runOrThrow(['ip', 'netns', 'add', pod.namespace]);
    this.#pods.set(name, pod);
    await prepare(pod);
    await linkPod(pod, this.node, this.#link);
    return pod;
  }

  /**
   * A host behind the machine outside, which routes to it.
   * @param mtu of the link between the two: the node has to learn that of the path
   */
  addRemote(name: string, mtu: number): Promise<Host> {
    const number = this.#remotes.length + 1;
    return this.#addBehindOutside(name, mtu, `198.51.${number}`, `fd00:51:${number}`);
  }

  /** A pod of another node, which is the machine outside. The node has a route to its network. */
  async addRemotePod(name: string): Promise<Host> {
    const number = this.#remotes.length + 1;
    const [network4, network6] = [`10.244.${128 + number}`, `fd00:244:0:${number}`];
    await this.node.ip(`
      route add ${network4}.0/24 via ${this.outside.address4}
      route add ${network6}::/64 via ${this.outside.address6}
    `);
    return this.#addBehindOutside(name, 1500, network4, network6);
  }

  /** Takes a pod away with its programs: nobody answers at its addresses any more. */
  async removePod(name: string): Promise<void> {
    const pod = this.pod(name);
    this.#pods.delete(name);
    await remove(pod);
  }

  /** Kills what was started in the lab and removes it. May be called again. */
  async destroy(): Promise<void> {
    if (this.#destroyed) return;
    this.#destroyed = true;
    for (const host of [...this.#pods.values(), ...this.#remotes, this.outside, this.node])
      await remove(host);
  }

  async #buildNode(): Promise<void> {
    const { node, outside } = this;
    await runOrThrow(['ip', '-batch', '-'], {
      input: `netns add ${node.namespace}\nnetns add ${outside.namespace}`,
    });
    await Promise.all([prepare(node), prepare(outside)]);
    await node.sysctl({
      'net/ipv4/ip_forward': '1',
      'net/ipv6/conf/all/forwarding': '1',
      // The node forwards between pods of one bridge and must not tell them to talk to each other directly.
      'net/ipv4/conf/all/send_redirects': '0',
      'net/ipv4/conf/default/send_redirects': '0',
    });
    await node.ip(`
      link add bridge type bridge mcast_snooping 0
      link set bridge up
      addr add ${node.address4}/16 dev bridge
      addr add ${node.address6}/64 dev bridge nodad
      link add uplink type veth peer name eth0 netns ${outside.namespace}
      link set uplink up
      addr add ${NODE_UPLINK.address4}/24 dev uplink
      addr add ${NODE_UPLINK.address6}/64 dev uplink nodad
      route add default via ${outside.address4}
      route add default via ${outside.address6}
    `);
    await outside.ip(`
      link set eth0 up
      addr add ${outside.address4}/24 dev eth0
      addr add ${outside.address6}/64 dev eth0 nodad
      route add default via ${NODE_UPLINK.address4}
      route add default via ${NODE_UPLINK.address6}
    `);
  }

  async #addBehindOutside(name: string, mtu: number, network4: string, network6: string): Promise<Host> {
    const device = `remote${this.#remotes.length + 1}`;
    const [address4, router4] = [`${network4}.2`, `${network4}.1`];
    const [address6, router6] = [`${network6}::2`, `${network6}::1`];
    const host = new Host({ name, namespace: `${this.#prefix}-${name}`, address4, address6 });
    await runOrThrow(['ip', 'netns', 'add', host.namespace]);
    this.#remotes.push(host);
    await prepare(host);
    await this.outside.sysctl({ 'net/ipv4/ip_forward': '1', 'net/ipv6/conf/all/forwarding': '1' });
    await this.outside.ip(`
      link add ${device} mtu ${mtu} type veth peer name eth0 mtu ${mtu} netns ${host.namespace}
      link set ${device} up
      addr add ${router4}/24 dev ${device}
      addr add ${router6}/64 dev ${device} nodad
    `);
    await host.ip(`
      link set eth0 up
      addr add ${address4}/24 dev eth0
      addr add ${address6}/64 dev eth0 nodad
      route add default via ${router4}
      route add default via ${router6}
    `);
    return host;
  }

  async #markBackend(backend: 'nft' | 'legacy'): Promise<void> {
    for (const program of [`iptables-${backend}`, `ip6tables-${backend}`]) {
      await this.node.must(program, ['-w', '10', '-t', 'mangle', '-N', 'KUBE-IPTABLES-HINT']);
    }
  }
}

async function prepare(host: Host): Promise<void> {
  await host.sysctl({
    'net/ipv6/conf/default/accept_dad': '0',
    'net/ipv6/conf/default/accept_ra': '0',
    'net/ipv6/conf/default/accept_redirects': '0',
  });
  await host.ip('link set lo up');
}

async function remove(host: Host): Promise<void> {
  await host.killPrograms();
  await run(['ip', 'netns', 'del', host.namespace]);
}

/** Removes the namespaces of tests that were killed. Their programs died with them. */
async function removeStale(): Promise<void> {
  for (const name of listNamespaces()) {
    const pid = new RegExp(`^${PREFIX}-(\\d+)-`).exec(name)?.[1];
    if (pid !== undefined && !isAlive(Number(pid))) await run(['ip', 'netns', 'del', name]);
  }
}

function listNamespaces(): string[] {
  try {
    return readdirSync('/run/netns');
  } catch {
    return [];
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
