import t from 'tap';
import type { PortalCounters } from '../../lib/dataplane/shared/counters.js';
import type { EndpointStatus } from '../../lib/dataplane/shared/endpoints.js';
import type { PinCounts } from '../../lib/dataplane/shared/pins.js';
import type { PortalStatus } from '../../lib/portal/status.js';
import { metricsRoutes, type StatusReport } from '../../lib/server/metrics.js';
import { answerOf, bodyOf, endpointStatus, NO_PINS, portalCounters, portalStatus } from './fixtures.js';

function routesOf(
  portals: Iterable<PortalStatus>,
  counters: Iterable<PortalCounters>,
  { pins = NO_PINS, endpoints }: { pins?: PinCounts; endpoints?: readonly EndpointStatus[][] } = {},
) {
  return metricsRoutes({
    summary: () => ({
      driver: 'address',
      workers: 2,
      fallbacks: [],
      carrier: 'relay',
      carrierLimits: [],
      problems: [],
    }),
    portals: () => portals,
    states: () => [...portals],
    counters: () => counters,
    droppedLogLines: () => 3,
    connectionsOfRemoved: () => 2,
    endpoints: endpoints === undefined ? null : () => pagesOf(endpoints),
    pins,
    maxPins: 100,
    configuration: () => ({ mode: 'userspace' }),
  });
}

async function* pagesOf<Page>(pages: readonly Page[]): AsyncIterable<Page> {
  yield* pages;
}

/** Series by name and labels, as a scraper reads them. */
function series(body: string): Map<string, number> {
  const lines = body.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]),
  );
}

const WEB = 'namespace="default",service="web",port="http",protocol="TCP",family="IPv4"';
const DNS = 'namespace="kube-system",service="dns",port="dns",protocol="UDP",family="IPv6"';

t.test('/metrics has the counters of each portal', async (t) => {
  const counters = [
    portalCounters({
      connectionsTotal: 7,
      connectionsActive: 2,
      carriedConnectionsActive: 9,
      bytesIn: 100,
      bytesOut: 2 ** 40,
    }),
    portalCounters({
      service: 'kube-system/dns',
      portName: 'dns',
      protocol: 'UDP',
      family: 'IPv6',
      datagramsIn: 5,
      flowsActive: 3,
      carriedFlowsActive: 8,
      connectFailures: 1,
    }),
  ];
  const routes = routesOf([], counters);
  t.match((await answerOf(routes, '/metrics')).contentType, 'text/plain');
  const found = series(await bodyOf(routes, '/metrics'));
  t.equal(found.get(`kubeportal_connections_total{${WEB}}`), 7);
  t.equal(found.get(`kubeportal_connections_active{${WEB}}`), 2);
  t.equal(found.get(`kubeportal_carried_connections_active{${WEB}}`), 9);
  t.equal(found.get(`kubeportal_carried_flows_active{${DNS}}`), 8);
  t.equal(found.get(`kubeportal_received_bytes_total{${WEB}}`), 100);
  t.equal(found.get(`kubeportal_sent_bytes_total{${WEB}}`), 2 ** 40);
  t.equal(found.get(`kubeportal_datagrams_received_total{${DNS}}`), 5);
  t.equal(found.get(`kubeportal_flows_active{${DNS}}`), 3);
  t.equal(found.get(`kubeportal_connect_failures_total{${DNS}}`), 1);
  t.notOk(found.has(`kubeportal_connections_total{${DNS}}`), 'UDP has no connections');
  t.notOk(found.has(`kubeportal_datagrams_received_total{${WEB}}`), 'TCP has no datagrams');
});

t.test('portals of one Service port are added up, because they have the same labels', async (t) => {
  const inside = portalCounters({ connectionsTotal: 7, bytesIn: 10 });
  const outside = portalCounters({
    key: 'default/web:http/external/TCP/IPv4',
    connectionsTotal: 2,
    bytesIn: 1,
  });
  const unused = portalCounters({ key: 'default/web:http/load-balancer/TCP/IPv4' });
  const found = series(await bodyOf(routesOf([], [inside, outside, unused, inside]), '/metrics'));
  t.equal(found.get(`kubeportal_connections_total{${WEB}}`), 9, 'and one that is read twice counts once');
  t.equal(found.get(`kubeportal_received_bytes_total{${WEB}}`), 11);
});

t.test('each scrape reads the counters, and a removed portal has no series', async (t) => {
  const counters = [portalCounters({ connectionsTotal: 7 })];
  const routes = routesOf([], counters);
  await bodyOf(routes, '/metrics');
  counters[0] = portalCounters({ connectionsTotal: 9 });
  t.equal(series(await bodyOf(routes, '/metrics')).get(`kubeportal_connections_total{${WEB}}`), 9);
  counters.pop();
  t.notMatch(await bodyOf(routes, '/metrics'), 'service="web"');
});

t.test('a portal without traffic has no series, and a portal that had traffic has all', async (t) => {
  const idle = portalCounters({ service: 'default/idle' });
  const left = portalCounters({ connectionsTotal: 3, connectionsActive: 0 });
  const body = await bodyOf(routesOf([], [idle, left]), '/metrics');
  t.notMatch(body, 'service="idle"');
  t.equal(series(body).get(`kubeportal_connections_active{${WEB}}`), 0);
});

/** Counters that count how often they are read. */
class Counted<T> {
  times = 0;

  constructor(readonly members: readonly T[]) {}

  [Symbol.iterator](): Iterator<T> {
    this.times++;
    return this.members[Symbol.iterator]();
  }
}

t.test('a scrape reads the counters once for all metrics', async (t) => {
  const counters = new Counted([portalCounters({ connectionsTotal: 1 })]);
  await bodyOf(routesOf([], counters), '/metrics');
  t.equal(counters.times, 1);
});

t.test('quotes and line ends in a name are escaped', async (t) => {
  const counters = [portalCounters({ portName: 'a"b\\c\nd', connectionsTotal: 1 })];
  const body = await bodyOf(routesOf([], counters), '/metrics');
  t.match(
    body,
    'kubeportal_connections_total{namespace="default",service="web",port="a\\"b\\\\c\\nd",protocol=',
  );
});

t.test('/metrics counts portals by what may carry them', async (t) => {
  const portals = [portalStatus(), portalStatus({ carrier: 'kernel' }), portalStatus()];
  const found = series(await bodyOf(routesOf(portals, []), '/metrics'));
  t.equal(found.get('kubeportal_portals_by_carrier{carrier="kernel"}'), 1);
  t.equal(found.get('kubeportal_portals_by_carrier{carrier="relay"}'), 2);
});

t.test('/metrics counts portals by state, and has the metrics of the process', async (t) => {
  const portals = [portalStatus(), portalStatus({ state: 'pending' }), portalStatus()];
  const found = series(await bodyOf(routesOf(portals, []), '/metrics'));
  t.equal(found.get('kubeportal_portals{state="serving"}'), 2);
  t.equal(found.get('kubeportal_portals{state="pending"}'), 1);
  t.equal(found.get('kubeportal_portals{state="no-endpoints"}'), 0);
  t.ok(found.get('process_resident_memory_bytes')! > 0);
  t.ok(found.get('process_open_fds')! > 0);
  t.ok(found.get('process_cpu_seconds_total')! > 0);
  t.equal(found.get('kubeportal_log_lines_dropped_total'), 3);
  t.equal(found.get('kubeportal_connections_of_removed_services'), 2);
});

t.test('/status has the portals and their counters', async (t) => {
  const body = await bodyOf(
    routesOf([portalStatus()], [portalCounters({ connectionsActive: 4 })]),
    '/status',
  );
  const report = JSON.parse(body) as StatusReport;
  t.match(report, { driver: 'address', workers: 2, portals: [{ service: 'default/web' }] });
  t.equal(report.counters[0]?.connectionsActive, 4);
});

t.test('the paths of kube-proxy answer on this port', async (t) => {
  t.equal(await bodyOf(routesOf([], []), '/proxyMode'), 'userspace');
  t.equal(await bodyOf(routesOf([], []), '/healthz'), 'ok');
  t.same(JSON.parse(await bodyOf(routesOf([], []), '/configz')), {
    'kubeproxy.config.k8s.io': { mode: 'userspace' },
  });
});

t.test('/metrics has the pins of each endpoint, and what happens at the cap', async (t) => {
  const counts = () => [
    { service: 'default/web', endpoint: 'default/web-1', pins: 20 },
    { service: 'robots/link', endpoint: '10.0.0.7', pins: 1 },
  ];
  const found = series(
    await bodyOf(routesOf([], [], { pins: { counts, total: 23, evicted: 4 } }), '/metrics'),
  );
  const label = 'namespace="default",service="web",endpoint="default/web-1"';
  t.equal(found.get(`kubeportal_affinity_pins{${label}}`), 20);
  t.equal(found.get('kubeportal_affinity_pins{namespace="robots",service="link",endpoint="10.0.0.7"}'), 1);
  t.equal(found.get('kubeportal_affinity_pins_held'), 23);
  t.equal(found.get('kubeportal_affinity_pins_max'), 100);
  t.equal(found.get('kubeportal_affinity_pins_evicted_total'), 4);
});

t.test('/metrics has what each endpoint has had, if that is wanted', async (t) => {
  const web = endpointStatus({ total: 5, active: 1, carriedActive: 2, failures: 3, moved: 4, bytesIn: 6 });
  const outside = { ...web, key: 'default/web:http/external/TCP/IPv4', total: 100 };
  const dns = endpointStatus({
    service: 'kube-system/dns',
    portName: 'dns',
    protocol: 'UDP',
    family: 'IPv6',
    endpoint: '[fd00::1]:53',
    total: 7,
    datagramsOut: 8,
    bytesOut: 9,
  });
  const endpoints = [[web], [outside, dns]];
  t.notMatch(await bodyOf(routesOf([], []), '/metrics'), 'kubeportal_endpoint_');
  const found = series(await bodyOf(routesOf([], [], { endpoints }), '/metrics'));
  const ofWeb = (name: string) => found.get(`kubeportal_endpoint_${name}{${WEB},endpoint="10.0.0.1:8080"}`);
  const ofDns = (name: string) => found.get(`kubeportal_endpoint_${name}{${DNS},endpoint="[fd00::1]:53"}`);
  t.equal(ofWeb('connections_total'), 105, 'of both portals of the port');
  t.equal(ofWeb('connections_active'), 2);
  t.equal(ofWeb('carried_connections_active'), 4);
  t.equal(ofWeb('connect_failures_total'), 6);
  t.equal(ofWeb('moved_total'), 8);
  t.equal(ofWeb('received_bytes_total'), 12);
  t.equal(ofWeb('flows_total'), undefined);
  t.equal(ofDns('flows_total'), 7);
  t.equal(ofDns('datagrams_sent_total'), 8);
  t.equal(ofDns('sent_bytes_total'), 9);
  t.equal(ofDns('connections_total'), undefined);
});
