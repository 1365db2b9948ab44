import t from 'tap';
import { endpointsText } from '../../lib/cli/endpoints.js';
import { endpointStatus } from '../server/fixtures.js';

t.test('a table by portal and endpoint, with the share of each', async (t) => {
  const lastFailure = { reason: 'ECONNREFUSED', agoMs: 72_000 };
  const text = endpointsText({
    endpoints: [
      endpointStatus({ service: 'kube-system/dns', portName: '', protocol: 'UDP', endpoint: '10.0.0.3:53' }),
      endpointStatus({
        endpoint: '10.0.0.10:80',
        total: 1,
        failures: 1,
        moved: 1,
        lastFailure,
        state: 'avoided',
      }),
      endpointStatus({
        endpoint: '10.0.0.9:80',
        total: 2,
        active: 1,
        carriedActive: 1,
        bytesIn: 7,
        bytesOut: 9,
      }),
    ],
  });
  t.equal(
    text,
    `PORTAL                     ENDPOINT      STATE    SHARE  OPEN  TOTAL  FAILURES  MOVED  BYTES-IN  BYTES-OUT  LAST-FAILURE
default/web:http/TCP/IPv4  10.0.0.9:80   ready    66.7%  2     2      0         0      7         9          -
default/web:http/TCP/IPv4  10.0.0.10:80  avoided  33.3%  0     1      1         1      0         0          ECONNREFUSED, 1m12s ago
kube-system/dns:/UDP/IPv4  10.0.0.3:53   ready    -      0     0      0         0      0         0          -
`,
  );
  t.equal(endpointsText({ endpoints: [] }), 'no Service has an endpoint\n');
});
