import t from 'tap';
import type { Session, SessionsPage } from '../../../lib/dataplane/shared/sessions.js';
import { FIRST_PAGE, PAGE_SIZE } from '../../../lib/dataplane/shared/sessions.js';
import { clientKey } from '../../../lib/dataplane/worker/clientkey.js';
import type { ServedPortal } from '../../../lib/dataplane/worker/servedportal.js';
import {
  type OpenSession,
  type SessionHolder,
  SessionListing,
} from '../../../lib/dataplane/worker/sessionlisting.js';
import { Target } from '../../../lib/dataplane/worker/target.js';
import { SocketAddress } from '../../../lib/sys/sockaddr.js';

const NOW = 60_000;
const EVERYTHING = { from: FIRST_PAGE, maxListed: Number.POSITIVE_INFINITY, service: null, client: null };

function portalOf(service: string): ServedPortal {
  return { key: `${service}:http/TCP/IPv4`, balancer: { service } } as ServedPortal;
}

const WEB = portalOf('default/web');
const DNS = portalOf('kube-system/dns');
const A = new Target({ id: 'a', address: '10.0.0.1', port: 8080 });
const B = new Target({ id: 'b', address: 'fd00::2', port: 8080 });

function session(position: number, over: Partial<OpenSession> & { from?: string } = {}): OpenSession {
  const { from = '192.0.2.7', ...rest } = over;
  const client = clientKey(SocketAddress.of(from, 0).memory.words, 0);
  return {
    position,
    portal: WEB,
    target: A,
    state: 'open',
    usedAt: NOW - 5000,
    client,
    clientPort: 40_000,
    ...rest,
  };
}

/** Sessions by their positions. */
class Holder implements SessionHolder {
  readonly sessions = new Map<number, OpenSession>();

  constructor(sessions: readonly OpenSession[] = []) {
    for (const each of sessions) this.sessions.set(each.position, each);
  }

  sessionsFrom(position: number): Iterable<OpenSession> {
    const later = [...this.sessions.values()].filter((each) => each.position >= position);
    return later.sort((a, b) => a.position - b.position);
  }
}

function listing(tcp: Holder, udp = new Holder()): SessionListing {
  return new SessionListing(tcp, udp, () => NOW);
}

/** All pages; `between` runs after each. */
function pagesOf(listing: SessionListing, over: object = {}, between = () => {}): SessionsPage[] {
  const pages: SessionsPage[] = [];
  for (let from: SessionsPage['next'] = FIRST_PAGE; from !== null; from = pages.at(-1)!.next) {
    pages.push(listing.page({ ...EVERYTHING, ...over, from }));
    between();
  }
  return pages;
}

const listed = (pages: readonly SessionsPage[]): Session[] => pages.flatMap(({ sessions }) => sessions);

t.test('a session is listed with its client, its endpoint and its state', async (t) => {
  const tcp = new Holder([
    session(7),
    session(9, { from: 'fd00::7', target: null, state: 'connecting', usedAt: NOW }),
  ]);
  const udp = new Holder([session(0, { portal: DNS, target: B, state: 'stream' })]);
  const expected = [
    { portal: WEB.key, client: '192.0.2.7:40000', endpoint: '10.0.0.1:8080', state: 'open', idleMs: 5000 },
    { portal: WEB.key, client: '[fd00::7]:40000', endpoint: null, state: 'connecting', idleMs: 0 },
    { portal: DNS.key, client: '192.0.2.7:40000', endpoint: '[fd00::2]:8080', state: 'stream', idleMs: 5000 },
  ];
  t.same(
    listed(pagesOf(listing(tcp, udp))),
    expected.map((session) => ({ ...session, carrier: 'relay', bytesIn: null, bytesOut: null })),
  );
});

t.test('a listing may be of one Service or one client, however its address is written', async (t) => {
  const tcp = new Holder([session(1), session(2, { from: 'fd00::7' }), session(3, { portal: DNS })]);
  const clients = (over: object) => listed(pagesOf(listing(tcp), over)).map(({ client }) => client);
  t.same(clients({ service: 'kube-system/dns' }), ['192.0.2.7:40000']);
  t.same(clients({ client: 'fd00:0:0::7' }), ['[fd00::7]:40000']);
  t.same(clients({ client: '192.0.2.7', service: 'default/web' }), ['192.0.2.7:40000']);
  t.same(clients({ service: 'default/other' }), []);
  t.throws(() => listing(tcp).page({ ...EVERYTHING, client: 'fd00::x' }), /not an IP address: fd00::x/);
});

t.test('the sessions of each endpoint are counted even if none is listed', async (t) => {
  const tcp = new Holder([session(1), session(2), session(3, { target: B }), session(4, { portal: DNS })]);
  const [page] = pagesOf(listing(tcp), { maxListed: 0 });
  t.same(page, {
    sessions: [],
    loads: [
      { portal: WEB.key, endpoint: '10.0.0.1:8080', sessions: 2 },
      { portal: WEB.key, endpoint: '[fd00::2]:8080', sessions: 1 },
      { portal: DNS.key, endpoint: '10.0.0.1:8080', sessions: 1 },
    ],
    next: { protocol: 'UDP', position: 0 },
  });
});

t.test('no page looks at more sessions than it may, whether it lists them or not', async (t) => {
  const many = Array.from({ length: 2 * PAGE_SIZE + 1 }, (_, at) => session(at * 3));
  const looks: number[] = [];
  class Watched extends Holder {
    override *sessionsFrom(at: number): Iterable<OpenSession> {
      looks.push(0);
      for (const each of super.sessionsFrom(at)) {
        looks[looks.length - 1]!++;
        yield each;
      }
    }
  }
  const pages = pagesOf(listing(new Watched(many)));
  t.same(listed(pages).length, many.length);
  t.same(
    pages.map(({ sessions }) => sessions.length),
    [PAGE_SIZE, PAGE_SIZE, 1, 0],
  );
  pagesOf(listing(new Watched(many)), { service: 'default/other' });
  // One more session shows where the next page begins.
  t.ok(looks.every((count) => count <= PAGE_SIZE + 1));
});

t.test('a session that stays open is listed exactly once while others begin and end', async (t) => {
  const stay = Array.from({ length: 2500 }, (_, index) => session(2 * index));
  const holder = new Holder(stay);
  let turn = 0;
  const pages = pagesOf(listing(holder), {}, () => {
    turn++;
    for (let at = turn; at < 5000; at += 100) {
      if (at % 2 === 0) continue;
      if (!holder.sessions.delete(at)) holder.sessions.set(at, session(at, { from: '192.0.2.8' }));
    }
    holder.sessions.set(5000 + turn, session(5000 + turn, { from: '192.0.2.8' }));
  });
  t.equal(listed(pages).filter(({ client }) => client === '192.0.2.7:40000').length, stay.length);
});
