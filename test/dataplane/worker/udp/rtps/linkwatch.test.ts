import t, { type Test } from 'tap';
import type { UdpFlow } from '../../../../../lib/dataplane/worker/udp/flow.js';
import { LinkWatch } from '../../../../../lib/dataplane/worker/udp/rtps/linkwatch.js';
import { Participants } from '../../../../../lib/dataplane/worker/udp/rtps/participants.js';
import { DEFAULT_POLICY, type ServicePolicy } from '../../../../../lib/portal/policy.js';
import { announcementOf } from '../../../../../lib/rtps/announcing.js';
import { isRtps } from '../../../../../lib/rtps/message.js';
import { prefixBytes } from '../../../../../lib/rtps/prefix.js';
import { DatagramSender } from '../../../../../lib/sys/datagramsender.js';
import { ENDPOINTS, OneClient } from '../oneclient.js';

const LEASE_MS = 10_000;
const PIN: ServicePolicy = { ...DEFAULT_POLICY, rtpsRouting: 'pin' };

/** Participants that meet one endpoint each, in turn. */
class Stage {
  now = 1000;
  readonly client: OneClient;
  readonly watch: LinkWatch;
  readonly #participants: Participants;
  readonly #sent = new DatagramSender(64);

  constructor(t: Test, policy: ServicePolicy = PIN) {
    this.client = new OneClient(t, policy);
    this.#participants = new Participants(
      this.client.table.keys,
      () => this.now,
      () => undefined,
    );
    this.watch = new LinkWatch(this.#participants);
  }

  /** A participant announces itself by a socket of the client's. */
  async announce(id: number, socket = 0): Promise<UdpFlow> {
    const { client } = this;
    const prefix = prefixBytes(id.toString(16).padStart(24, '0'));
    const where = { address: '127.0.0.1', port: 7410, domainId: 0, entityName: '', isClient: false };
    const flow = await client.ask(
      announcementOf({ prefix, vendor: 0x0110, leaseMs: LEASE_MS, ...where }),
      socket,
    );
    if (flow.carrier === null) client.mover.openCarrier(flow);
    this.#participants.hear(flow, client.inbox);
    this.#sent.clear();
    client.inbox.collectBatch(flow, this.#sent);
    client.log.length = 0;
    return flow;
  }

  /** What carriers were told when the watch was due. */
  look(): string[] {
    this.client.log.length = 0;
    this.watch.expire(this.now);
    return [...this.client.log];
  }
}

t.test('nobody is asked while no participant is known', async (t) => {
  const stage = new Stage(t);
  t.equal(stage.watch.deadline, Number.POSITIVE_INFINITY);
  await stage.announce(1);
  t.ok(stage.watch.deadline <= stage.now, 'at once');
  t.same(stage.look(), ['send 1 to a']);
  t.equal(stage.watch.deadline, stage.now + 100);
  stage.now += LEASE_MS + 1;
  t.same(stage.look(), [], 'its lease is over');
  t.equal(stage.watch.deadline, Number.POSITIVE_INFINITY);
});

t.test('each endpoint with participants is asked, by each flow once', async (t) => {
  const stage = new Stage(t);
  for (const [id, socket] of [
    [1, 0],
    [2, 0],
    [3, 0],
    [4, 1],
  ] as const)
    await stage.announce(id, socket);
  t.same(stage.look().sort(), ['send 1 to a', 'send 1 to b']);
});

t.test('an endpoint is asked by two flows at most', async (t) => {
  const policy = { ...PIN, affinity: { by: 'rtps-participant', timeoutMs: 60_000 } } as const;
  const stage = new Stage(t, policy);
  stage.client.portal.balancer.update({ endpoints: ENDPOINTS.slice(0, 1), policy });
  for (let id = 1; id <= 4; id++) await stage.announce(id);
  t.same(stage.look(), ['send 1 to a', 'send 1 to a']);
});

t.test('a flow asks with a prefix that only those know who were asked', async (t) => {
  const stage = new Stage(t);
  const flows = [await stage.announce(1, 0), await stage.announce(2, 1)];
  t.ok(flows.every(({ question }) => question === null));
  stage.look();
  const [first, second] = flows.map(({ question }) => question as Uint8Array);
  t.ok(isRtps(first as Uint8Array));
  t.notSame(first, second);
  stage.look();
  t.same(flows[0]?.question, first, 'the same each time');
  t.ok(flows[0]?.hasAsked(first as Uint8Array));
  t.notOk(flows[0]?.hasAsked(second as Uint8Array));
  t.notOk(flows[0]?.hasAsked((first as Uint8Array).subarray(0, 8)), 'others can guess the beginning');
});

t.test('a participant whose flow has ended is not asked about', async (t) => {
  const stage = new Stage(t);
  stage.client.mover.lifetimes.end(await stage.announce(1));
  t.same(stage.look(), []);
});
