/** Which address a pod sees of each kind of client, by each kind of address of a Service. */
import type { Test } from 'tap';
import { FAMILIES, type Family } from '../../lib/net/address.js';
import type { Protocol } from '../../lib/net/protocol.js';
import { startBackend } from '../lab/backend.js';
import { askEach, type Conversation, type TcpReply, type UdpReply } from '../lab/client.js';
import type { Host, Place } from '../lab/host.js';
import { item } from '../lab/items.js';
import { Lab, NODE_UPLINK } from '../lab/lab.js';
import { type KubernetesObject, serviceAcrossNodes } from '../lab/manifest.js';
import type { PodLink } from '../lab/podlink.js';

/** A pod of this node; one of another; this node; a machine outside of the cluster; the endpoint itself. */
export const CLIENTS = ['pod', 'remote pod', 'node', 'outsider', 'endpoint'] as const;
export const WAYS = ['ClusterIP', 'external IP', 'load balancer IP', 'NodePort'] as const;
type Client = (typeof CLIENTS)[number];
type Way = (typeof WAYS)[number];

/** A Service with one endpoint, on this node or on another. */
interface Kind {
  readonly name: string;
  readonly endpoint: 'here' | 'there';
  readonly externalTrafficPolicy: 'Cluster' | 'Local';
  readonly nodePort: number;
}

export const KINDS: readonly Kind[] = [
  { name: 'cluster', endpoint: 'here', externalTrafficPolicy: 'Cluster', nodePort: 30_001 },
  { name: 'local', endpoint: 'here', externalTrafficPolicy: 'Local', nodePort: 30_002 },
  { name: 'remote', endpoint: 'there', externalTrafficPolicy: 'Cluster', nodePort: 30_003 },
];

const PROTOCOLS = ['TCP', 'UDP'] as const;
/** Of the pods of all nodes. */
export const CLUSTER_CIDR = '10.244.0.0/16,fd00:244::/48';
const PORT = 80;
const TARGET_PORT = 8080;

/** One question, and what the pod sees of who asks: the client itself or its node. */
interface Case {
  readonly client: Client;
  readonly kind: Kind;
  readonly way: Way;
}

/** Whether the pod sees the client's own address. */
export type Keeps = (question: Case) => boolean;

/**
 * As kube-proxy has it in its mode iptables (pkg/proxy/iptables/proxier.go, v1.37). It masquerades an
 * endpoint that asks itself; what goes to a ClusterIP from outside the cluster CIDR (with --masquerade-all
 * from anywhere); and what goes to other addresses, unless externalTrafficPolicy is Local and the client is
 * not the node.
 */
export function keptByKubeProxy(isAllMasqueraded: boolean): Keeps {
  return ({ client, kind, way }) => {
    if (client === 'endpoint' || client === 'node') return false;
    if (way === 'ClusterIP') return client !== 'outsider' && !isAllMasqueraded;
    return kind.externalTrafficPolicy === 'Local';
  };
}

/** Hosts of every kind, and endpoints that answer with the client's address. */
export class AddressStage {
  private constructor(
    readonly lab: Lab,
    readonly clients: Readonly<Record<Client, Host>>,
    readonly endpoints: Readonly<Record<Kind['endpoint'], Host>>,
  ) {}

  static async forTest(t: Test, link: PodLink): Promise<AddressStage> {
    const lab = await Lab.forTest(t, { pods: ['client', 'here'], link });
    const endpoints = { here: lab.pod('here'), there: await lab.addRemotePod('there') };
    for (const endpoint of Object.values(endpoints)) {
      const ports = { [TARGET_PORT]: 'client' } as const;
      await startBackend(endpoint, { tcp: ports, udp: ports });
    }
    const clients = {
      pod: lab.pod('client'),
      'remote pod': await lab.addRemotePod('remote'),
      node: lab.node,
      outsider: lab.outside,
      endpoint: lab.pod('here'),
    };
    return new AddressStage(lab, clients, endpoints);
  }

  /** The Services, as this node's proxy gets them. */
  objects(): KubernetesObject[] {
    return KINDS.flatMap((kind) => {
      const { name, endpoint, externalTrafficPolicy, nodePort } = kind;
      const pods = [this.endpoints[endpoint]];
      const [local, remote] = endpoint === 'here' ? [pods, []] : [[], pods];
      const addresses = (way: Way) => FAMILIES.map((family) => addressOf(kind, way, family));
      const options = {
        name,
        clusterIPs: addresses('ClusterIP'),
        externalIPs: addresses('external IP'),
        ingressIPs: addresses('load balancer IP'),
        ports: PROTOCOLS.map((protocol) => ({
          name: protocol.toLowerCase(),
          protocol,
          port: PORT,
          targetPort: TARGET_PORT,
          nodePort,
        })),
        spec: { externalTrafficPolicy, ipFamilyPolicy: 'RequireDualStack' },
      };
      return serviceAcrossNodes(options, local, remote);
    });
  }

  /** Asks in every way, and compares what the endpoints see. */
  async check(t: Test, keeps: Keeps): Promise<void> {
    for (const client of CLIENTS) {
      for (const kind of kindsFor(client)) {
        await t.test(`${client}, Service ${kind.name}`, async (t) => {
          for (const family of FAMILIES) {
            const seen = await this.#seen(client, kind, family);
            t.same(seen, this.#expected(client, kind, family, keeps), family);
          }
        });
      }
    }
  }

  /** By way and protocol: the addresses that the endpoint saw, or what came instead of an answer. */
  async #seen(client: Client, kind: Kind, family: Family): Promise<Record<string, string>> {
    const questions = questionsFor(kind, family);
    const replies = await askEach(
      this.clients[client],
      questions.map(({ conversation }) => conversation),
    );
    return Object.fromEntries(
      questions.map(({ title }, i) => [title, this.#nodeOr(clientIn(item(replies, i)), client)]),
    );
  }

  /** A program of the node may keep the address that it has: all of the node's are as good. */
  #nodeOr(address: string, client: Client): string {
    const addresses: string[] = [this.lab.node, NODE_UPLINK].flatMap((place) =>
      Object.values(addressesOf(place)),
    );
    return client === 'node' && addresses.includes(address) ? 'node' : address;
  }

  #expected(client: Client, kind: Kind, family: Family, keeps: Keeps): Record<string, string> {
    const node = kind.endpoint === 'here' ? this.lab.node : NODE_UPLINK;
    const seen = (way: Way) => {
      const place = keeps({ client, kind, way }) ? this.clients[client] : node;
      return this.#nodeOr(addressesOf(place)[family], client);
    };
    return Object.fromEntries(questionsFor(kind, family).map(({ title, way }) => [title, seen(way)]));
  }
}

/**
 * The endpoint on the other node is no client. What it answers to a pod of another node does not come by this
 * node, so it must not see that pod's address.
 */
function kindsFor(client: Client): readonly Kind[] {
  const isNear = client === 'endpoint' || client === 'remote pod';
  return isNear ? KINDS.filter(({ endpoint }) => endpoint === 'here') : KINDS;
}

function addressOf(kind: Kind, way: Way, family: Family): string {
  const number = KINDS.indexOf(kind) + 1;
  const addresses: Readonly<Record<Way, readonly [string, string]>> = {
    ClusterIP: [`10.96.0.1${number}`, `fd00:96::1${number}`],
    'external IP': [`203.0.113.1${number}`, `2001:db8:10::${number}`],
    'load balancer IP': [`203.0.113.2${number}`, `2001:db8:20::${number}`],
    NodePort: [NODE_UPLINK.address4, NODE_UPLINK.address6],
  };
  return item(addresses[way], family === 'IPv4' ? 0 : 1);
}

interface Question {
  readonly title: string;
  readonly way: Way;
  readonly conversation: Conversation;
}

/** UDP asks more than once: another carrier may take over after the first datagram. */
function questionsFor(kind: Kind, family: Family): Question[] {
  return WAYS.flatMap((way) =>
    PROTOCOLS.map((protocol) => {
      const to = { address: addressOf(kind, way, family), port: way === 'NodePort' ? kind.nodePort : PORT };
      return { title: `${way}, ${protocol}`, way, conversation: conversationWith(protocol, to) };
    }),
  );
}

function conversationWith(protocol: Protocol, to: { address: string; port: number }): Conversation {
  return protocol === 'TCP' ? { what: 'tcp', ...to, send: '?' } : { what: 'udp', ...to, times: 3 };
}

/** The addresses in the answers, each once. */
function clientIn(replies: readonly (TcpReply | UdpReply)[]): string {
  const texts = replies.flatMap((reply) =>
    'answers' in reply ? reply.answers : [reply.text || reply.outcome],
  );
  return [...new Set(texts.map((text) => text.replace(/^(here|there):/, '')))].join();
}

function addressesOf({ address4, address6 }: Pick<Place, 'address4' | 'address6'>): Record<Family, string> {
  return { IPv4: address4, IPv6: address6 };
}
