import t from 'tap';
import type { PortalCounters, PortalStatus } from '../../lib/controlplane/status.js';
import { metricsRoutes, type StatusReport } from '../../lib/server/metrics.js';
import { portalCounters, portalStatus } from './fixtures.js';

function routesOf(portals: PortalStatus[], counters: PortalCounters[]) {
  return metricsRoutes({
    status: () => ({ driver: 'address', workers: 2, portals }),
    states: () => portals,
    counters: () => counters,
    droppedLogLines: () => 3,
    configuration: () => ({ mode: 'userspace' }),
  });
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

t.test('/metrics has what each portal carried', async (t) => {
  const counters = [
    portalCounters({ connectionsTotal: 7, connectionsActive: 2, bytesIn: 100, bytesOut: 2 ** 40 }),
    portalCounters({
      service: 'kube-system/dns',
      portName: 'dns',
      protocol: 'UDP',
      family: 'IPv6',
      datagramsIn: 5,
      flowsActive: 3,
      connectFailures: 1,
    }),
  ];
  const { body, contentType } = await routesOf([], counters)['/metrics']!();
  t.match(contentType, 'text/plain');
  const found = series(body);
  t.equal(found.get(`kubeportal_connections_total{${WEB}}`), 7);
  t.equal(found.get(`kubeportal_connections_active{${WEB}}`), 2);
  t.equal(found.get(`kubeportal_received_bytes_total{${WEB}}`), 100);
  t.equal(found.get(`kubeportal_sent_bytes_total{${WEB}}`), 2 ** 40);
  t.equal(found.get(`kubeportal_datagrams_received_total{${DNS}}`), 5);
  t.equal(found.get(`kubeportal_flows_active{${DNS}}`), 3);
  t.equal(found.get(`kubeportal_connect_failures_total{${DNS}}`), 1);
  t.notOk(found.has(`kubeportal_connections_total{${DNS}}`), 'UDP has no connections');
  t.notOk(found.has(`kubeportal_datagrams_received_total{${WEB}}`), 'TCP has no datagrams');
});

t.test('a scrape reads the counters anew, and a portal that is gone leaves nothing behind', async (t) => {
  const counters = [portalCounters({ connectionsTotal: 7 })];
  const routes = routesOf([], counters);
  await routes['/metrics']!();
  counters[0] = portalCounters({ connectionsTotal: 9 });
  t.equal(series((await routes['/metrics']!()).body).get(`kubeportal_connections_total{${WEB}}`), 9);
  counters.pop();
  t.notMatch((await routes['/metrics']!()).body, 'service="web"');
});

t.test('a portal that nobody has come to has no series, and one that somebody left has all', async (t) => {
  const idle = portalCounters({ service: 'default/idle' });
  const left = portalCounters({ connectionsTotal: 3, connectionsActive: 0 });
  const { body } = await routesOf([], [idle, left])['/metrics']!();
  t.notMatch(body, 'service="idle"');
  t.equal(series(body).get(`kubeportal_connections_active{${WEB}}`), 0);
});

t.test('a scrape reads the counters once for all metrics', async (t) => {
  let times = 0;
  const counters = [portalCounters({ connectionsTotal: 1 })];
  const routes = metricsRoutes({
    status: () => ({ driver: 'none', workers: 1, portals: [] }),
    states: () => [],
    counters: () => {
      times++;
      return counters;
    },
    droppedLogLines: () => 3,
    configuration: () => ({}),
  });
  await routes['/metrics']!();
  t.equal(times, 1);
});

t.test('/metrics counts portals by state and tells of the process', async (t) => {
  const portals = [portalStatus(), portalStatus({ state: 'pending' }), portalStatus()];
  const found = series((await routesOf(portals, [])['/metrics']!()).body);
  t.equal(found.get('kubeportal_portals{state="serving"}'), 2);
  t.equal(found.get('kubeportal_portals{state="pending"}'), 1);
  t.equal(found.get('kubeportal_portals{state="no-endpoints"}'), 0);
  t.ok(found.get('process_resident_memory_bytes')! > 0);
  t.ok(found.get('process_open_fds')! > 0);
  t.ok(found.get('process_cpu_seconds_total')! > 0);
  t.equal(found.get('kubeportal_log_lines_dropped_total'), 3);
});

t.test('/status has the portals and their counters', async (t) => {
  const { body } = await routesOf([portalStatus()], [portalCounters({ connectionsActive: 4 })])['/status']!();
  const report = JSON.parse(body) as StatusReport;
  t.match(report, { driver: 'address', workers: 2, portals: [{ service: 'default/web' }] });
  t.equal(report.counters[0]?.connectionsActive, 4);
});

t.test('the paths that kube-proxy has on this port', async (t) => {
  t.equal((await routesOf([], [])['/proxyMode']!()).body, 'userspace');
  t.equal((await routesOf([], [])['/healthz']!()).body, 'ok');
  t.same(JSON.parse((await routesOf([], [])['/configz']!()).body), {
    'kubeproxy.config.k8s.io': { mode: 'userspace' },
  });
});
