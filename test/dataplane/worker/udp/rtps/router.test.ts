import t from 'tap';
import type { ServedPortal } from '../../../../../lib/dataplane/worker/servedportal.js';
import { BELIEF } from '../../../../../lib/dataplane/worker/udp/rtps/owners.js';
import type { Routed, RtpsRouter } from '../../../../../lib/dataplane/worker/udp/rtps/router.js';
import { DEFAULT_POLICY, type RtpsRouting } from '../../../../../lib/portal/policy.js';
import { SocketAddress } from '../../../../../lib/sys/sockaddr.js';
import { servedPortal } from '../../fixtures.js';

/** Beginnings of captured datagrams: the header and the first submessages. */
const CYCLONE_A = '0110465b6276a1ab271afc1a';
const CYCLONE_B = '0110b7e3029acfa1b1247714';
const SERVER = '4453005f4550524f53494d41';
const SPDP_TO_ALL = `5254505302050110${CYCLONE_A}0e010c0000000000000000000000000009010800`;
const TO_B = `5254505302050110${CYCLONE_A}0e010c00${CYCLONE_B}07011c00`;
const B_TO_B = `5254505302050110${CYCLONE_B}0e010c00${CYCLONE_B}07011c00`;
const FROM_B = `5254505302050110${CYCLONE_B}0901080000000000000000001505380000001000`;
const TO_SERVER = `525450530203010f010fa550d83a6f02000000000e010c00${SERVER}07011c00`;
const FROM_SERVER = `525450530203010f${SERVER}07011c00`;
const SECURED = '525450530203010faa5d6f6a3eadd6c7164a57d233011400';

const POD_A = '10.244.0.1';
const POD_B = '10.244.0.2';
const POD_C = '10.244.0.3';
const ROBOT = '192.0.2.7';
const NODE = '10.244.0.254';

function portalWith(rtpsRouting: RtpsRouting): ServedPortal {
  const endpoints = [POD_A, POD_B, POD_C].map((address) => ({
    id: `default/${address}`,
    address,
    port: 7410,
  }));
  return servedPortal({ protocol: 'UDP', endpoints, policy: { ...DEFAULT_POLICY, rtpsRouting } });
}

function routerOf(portal: ServedPortal): RtpsRouter {
  return portal.router as RtpsRouter;
}

/** A datagram somewhere in a block, as in the ring that received it. */
function datagram(hex: string, from: string): Routed {
  const start = 5;
  const bytes = Buffer.from(`ffffffffff${hex}ffff`, 'hex');
  const sender = SocketAddress.of(from, 40_000).memory.words;
  return { bytes, start, end: bytes.length - 2, sender, senderAt: 0 };
}

function route(router: RtpsRouter, hex: string, from: string, now = 0): string[] {
  return router.route(datagram(hex, from), now).map(({ endpoint }) => endpoint.address);
}

/** Somebody at an endpoint's address has answered with a datagram. */
function hear(portal: ServedPortal, address: string, hex: string, now = 0): void {
  const router = routerOf(portal);
  const target = router.targetAt(SocketAddress.of(address, 7410).memory.words, 0);
  const { bytes, start, end } = datagram(hex, address);
  if (target === null) throw new Error(`${address} is no endpoint`);
  router.heard(target, bytes, start, end, now);
}

t.test('fan-out: every datagram goes to every endpoint but its sender', async (t) => {
  const router = routerOf(portalWith('fan-out'));
  for (const hex of [SPDP_TO_ALL, TO_B, SECURED, 'abcd', '']) {
    t.same(route(router, hex, ROBOT), [POD_A, POD_B, POD_C], `from a robot: ${hex}`);
  }
  t.equal(router.hasSeenRtps, true);
  t.same(route(router, SPDP_TO_ALL, POD_A), [POD_B, POD_C]);
  t.same(route(router, 'abcd', POD_B), [POD_A, POD_C], 'also what is no RTPS');
});

t.test('a sender is known by its participant where its address is that of a node', async (t) => {
  const portal = portalWith('fan-out');
  t.same(route(routerOf(portal), FROM_B, NODE), [POD_A, POD_B, POD_C]);
  hear(portal, POD_B, FROM_B);
  t.same(route(routerOf(portal), FROM_B, NODE), [POD_A, POD_C]);
});

t.test('follow: a datagram goes to the endpoint that has the participant it names', async (t) => {
  const portal = portalWith('follow');
  const router = routerOf(portal);
  t.same(route(router, TO_B, ROBOT), [POD_A, POD_B, POD_C], 'nobody is known to have it');
  t.equal(router.strangerMetAt, 0);
  hear(portal, POD_B, FROM_B);
  hear(portal, POD_C, FROM_SERVER);
  t.same(route(router, TO_B, ROBOT, 1), [POD_B]);
  t.same(route(router, TO_SERVER, ROBOT, 1), [POD_C]);
  t.same(route(router, SPDP_TO_ALL, ROBOT, 1), [POD_A, POD_B, POD_C], 'the zero prefix stands for all');
  t.same(route(router, SECURED, ROBOT, 1), [POD_A, POD_B, POD_C], 'it names nobody');
  t.equal(router.strangerMetAt, 0, 'these met no stranger');
  t.same(route(router, TO_B, POD_A), [POD_B], 'from another endpoint');
  t.same(route(router, B_TO_B, POD_B), [], 'never back to its sender');
});

t.test('what endpoints send to the VIP tells which participants they have', async (t) => {
  const router = routerOf(portalWith('follow'));
  route(router, FROM_B, POD_B);
  t.same(route(router, TO_B, ROBOT), [POD_B]);
  route(router, `5254505302050110${CYCLONE_A}`, ROBOT);
  t.same(route(router, `5254505302050110${CYCLONE_B}0e010c00${CYCLONE_A}`, ROBOT).length, 2, 'others do not');
});

t.test('what is known of participants is forgotten in time, and with their endpoint', async (t) => {
  const portal = portalWith('follow');
  hear(portal, POD_B, FROM_B);
  t.same(route(routerOf(portal), TO_B, ROBOT, BELIEF - 1), [POD_B]);
  t.same(route(routerOf(portal), TO_B, ROBOT, BELIEF).length, 3);
  hear(portal, POD_B, FROM_B, BELIEF);
  const left = { id: `default/${POD_C}`, address: POD_C, port: 7410 };
  portal.balancer.update({ endpoints: [left], policy: DEFAULT_POLICY });
  t.same(route(routerOf(portal), TO_B, ROBOT, BELIEF), [POD_C]);
});

t.test('an endpoint that failed lately gets no copies, and still what only it can answer', async (t) => {
  const portal = portalWith('follow');
  hear(portal, POD_B, FROM_B);
  const [, failed] = portal.balancer.rotation.targets;
  if (failed !== undefined) portal.blame(failed, 'ECONNREFUSED', null);
  t.same(route(routerOf(portal), SPDP_TO_ALL, ROBOT), [POD_A, POD_C]);
  t.same(route(routerOf(portal), TO_B, ROBOT), [POD_B]);
});

t.test('a portal whose policy changes gives its flows another target', async (t) => {
  const portal = portalWith('follow');
  const { everyone } = routerOf(portal);
  t.equal(portal.pick(null), everyone);
  const change = (rtpsRouting: RtpsRouting | null) => {
    const endpoints = [{ id: 'default/a', address: POD_A, port: 7410 }];
    portal.update({
      id: 1,
      key: portal.key,
      service: 'default/web',
      protocol: 'UDP',
      family: 'IPv4',
      listeners: [],
      endpoints,
      policy: { ...DEFAULT_POLICY, rtpsRouting },
      admission: { sources: null, insiders: null },
      carriage: null,
    });
  };
  change('fan-out');
  t.equal(portal.pick(null), everyone, 'the flows go on from follow to fan-out');
  t.same(route(routerOf(portal), TO_B, ROBOT), [POD_A]);
  change(null);
  t.equal(everyone.isRemoved, true);
  t.equal(portal.router, null);
  const plain = portal.pick(null);
  t.equal(plain?.endpoint.address, POD_A);
  change('fan-out');
  t.equal(plain?.isRemoved, true);
});
