import t, { type Test } from 'tap';
import { DescriptorBudget } from '../../../../../lib/dataplane/shared/budget.js';
import { EventLoop, type Task, type Watcher } from '../../../../../lib/dataplane/worker/loop.js';
import { Prober } from '../../../../../lib/dataplane/worker/udp/rtps/prober.js';
import type { RtpsRouter } from '../../../../../lib/dataplane/worker/udp/rtps/router.js';
import { DEFAULT_POLICY } from '../../../../../lib/portal/policy.js';
import { type Announcement, readAnnouncement } from '../../../../../lib/rtps/announcement.js';
import { prefixBytes } from '../../../../../lib/rtps/prefix.js';
import { EPOLLIN } from '../../../../../lib/sys/constants.js';
import { DatagramRing } from '../../../../../lib/sys/datagrams.js';
import { DatagramSpreader } from '../../../../../lib/sys/datagramspreader.js';
import { listenDatagram } from '../../../../../lib/sys/listening.js';
import { Memory } from '../../../../../lib/sys/memory.js';
import { SocketAddress } from '../../../../../lib/sys/sockaddr.js';
import { localAddress } from '../../../../../lib/sys/socket.js';
import { servedPortal } from '../../fixtures.js';

const HOST = '127.0.0.1';
const OWN_PREFIX = '0110b7e3029acfa1b1247714';

/** An endpoint that answers some questions, in the same loop as the prober. */
class FakeEndpoint implements Watcher {
  readonly owner = 'test';
  readonly heard: Announcement[] = [];
  readonly fd = listenDatagram({ address: HOST, port: 0, sharing: 'nobody', freeBind: false }, 65536);
  readonly #ring = new DatagramRing(8, false);
  readonly #spreader = new DatagramSpreader(1);
  readonly #answers: (question: Announcement) => boolean;

  constructor(loop: EventLoop, answers: (question: Announcement) => boolean) {
    this.#answers = answers;
    loop.watch(this.fd, EPOLLIN, this);
  }

  onReady(): number {
    const count = this.#ring.receive(this.fd, 8);
    for (let slot = this.#ring.first; slot < this.#ring.first + count; slot++) {
      const announcement = readAnnouncement(this.#ring.payload(slot));
      if (announcement === null) continue;
      this.heard.push(announcement);
      if (!announcement.isFarewell && this.#answers(announcement)) this.#answer(announcement);
    }
    return 0;
  }

  get farewells(): number {
    return this.heard.filter(({ isFarewell }) => isFarewell).length;
  }

  #answer({ prefix, metatraffic }: Announcement): void {
    const [locator] = metatraffic;
    const bytes = Buffer.from(`5254505302020110${OWN_PREFIX}0e010c00${prefix}`, 'hex');
    const payload = new Memory(bytes.length);
    payload.bytes.set(bytes);
    this.#spreader.push(payload, 0, bytes.length, SocketAddress.of(HOST, locator?.port ?? 0));
    this.#spreader.send(this.fd, () => undefined);
  }
}

/** A prober, and a portal whose only endpoint is the fake one. */
class Questioning {
  readonly loop = new EventLoop();
  readonly budget = new DescriptorBudget();
  readonly prober: Prober;
  readonly endpoint: FakeEndpoint;
  readonly router: RtpsRouter;

  constructor(t: Test, answers: (question: Announcement) => boolean) {
    this.budget.limit = 10;
    this.prober = new Prober(this.loop, this.budget);
    this.endpoint = new FakeEndpoint(this.loop, answers);
    t.teardown(() => this.loop.closeUnshared(this.endpoint.fd));
    const { port } = localAddress(this.endpoint.fd);
    const policy = { ...DEFAULT_POLICY, rtpsRouting: 'follow' } as const;
    const endpoints = [{ id: 'default/a', address: HOST, port }];
    this.router = servedPortal({ protocol: 'UDP', endpoints, policy }).router as RtpsRouter;
  }

  look(): void {
    this.prober.look(this.router, 'default/web:/UDP/IPv4');
  }

  /** A client sends an RTPS message, or something else. */
  hear(hex: string): void {
    const bytes = Buffer.from(hex, 'hex');
    const sender = SocketAddress.of('192.0.2.1', 1).memory.words;
    this.router.route({ bytes, start: 0, end: bytes.length, sender, senderAt: 0 }, 0);
  }

  /** Runs the loop until something has come to pass. It can run only once. */
  runUntil(isOver: () => boolean): void {
    const { loop } = this;
    const end: Task = {
      get deadline() {
        return isOver() ? 0 : Number.POSITIVE_INFINITY;
      },
      expire: () => loop.stop(),
    };
    loop.addTask(end);
    loop.run();
  }

  get owner(): string | null {
    return this.router.service.owners.find(prefixBytes(OWN_PREFIX), 0, this.loop.now);
  }
}

const MESSAGE = '52545053020501100110465b6276a1ab271afc1a';

t.test('a participant that answers is known from then on, and asked no more', async (t) => {
  const questioning = new Questioning(t, () => true);
  const { endpoint, budget } = questioning;
  questioning.hear(MESSAGE);
  questioning.look();
  t.equal(budget.used, 1, 'a descriptor of the budget');
  questioning.runUntil(() => budget.used === 0);
  t.equal(questioning.owner, 'default/a');
  t.match(endpoint.heard, [
    { entityName: 'kube-portal', isFarewell: false, domainId: null },
    { isFarewell: true },
  ]);
  questioning.look();
  t.equal(budget.used, 0);
});

t.test('a discovery server answers the second question, which is that of a client', async (t) => {
  const isClient = ({ properties }: Announcement) => properties.get('PARTICIPANT_TYPE') === 'CLIENT';
  const questioning = new Questioning(t, isClient);
  const { endpoint } = questioning;
  questioning.hear(MESSAGE);
  questioning.look();
  questioning.runUntil(() => endpoint.farewells > 0);
  t.equal(questioning.owner, 'default/a');
  t.same(
    endpoint.heard.map((heard) => [heard.isFarewell, isClient(heard)]),
    [
      [false, false],
      [false, true],
      [true, false],
    ],
  );
});

t.test('who does not answer hears a farewell, too', async (t) => {
  const questioning = new Questioning(t, () => false);
  const { endpoint, budget } = questioning;
  questioning.hear(MESSAGE);
  questioning.look();
  questioning.runUntil(() => budget.used === 0 && endpoint.farewells > 0);
  t.equal(questioning.owner, null);
  t.equal(endpoint.heard.length, 3);
});

t.test('nobody is asked where clients do not send RTPS', async (t) => {
  const questioning = new Questioning(t, () => true);
  questioning.hear('abcd');
  questioning.look();
  t.equal(questioning.budget.used, 0);
});
