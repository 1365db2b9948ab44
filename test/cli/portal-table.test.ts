import t from 'tap';
import { portalTable } from '../../lib/cli/portal-table.js';
import { portalCounters, portalStatus } from '../server/fixtures.js';

t.test('a row has the whole status of a portal', (t) => {
  const text = portalTable([portalStatus({ affinity: { by: 'client-ip', timeoutSeconds: 10_800 } })]);
  t.equal(
    text,
    [
      'SERVICE           VIP:PORT       PROTOCOL  ENDPOINTS      AFFINITY         STATE',
      'default/web:http  10.96.0.10:80  TCP       10.0.0.1:8080  ClientIP 10800s  serving',
      '                                           10.0.0.2:8080',
      '',
    ].join('\n'),
  );
  t.end();
});

t.test('the annotations of a Service are shown with its affinity', (t) => {
  const policy = { rtpsRouting: 'pin', activeStandby: true } as const;
  const text = portalTable([
    portalStatus({ affinity: { by: 'rtps-participant', timeoutSeconds: 60 }, ...policy }),
  ]);
  t.match(text, /rtps-participant 60s +serving\n.* +RTPS: pin\n +active-standby\n$/);
  t.match(portalTable([portalStatus({ activeStandby: true })]), /none +serving\n.* +active-standby\n$/);
  t.end();
});

t.test('IPv6 addresses have brackets, and node ports and problems are shown', (t) => {
  const text = portalTable([
    portalStatus({
      portName: '',
      vips: [{ address: 'fd00::10', port: 80, masquerade: 'off-cluster' }],
      nodePort: 30_080,
      endpoints: [],
      state: 'pending',
      problems: ['node port 30080 is taken'],
    }),
  ]);
  t.match(text, /^default\/web {2}\[fd00::10\]:80 .*<none> .*pending$/m);
  t.match(text, /node:30080 .*node port 30080 is taken$/m);
  t.end();
});

t.test('the carrier has a column once the kernel carries a portal', (t) => {
  const relayed = portalStatus();
  t.notMatch(portalTable([relayed]), 'CARRIER');
  const text = portalTable([
    relayed,
    portalStatus({ key: 'a', service: 'a', portName: '', carrier: 'kernel' }),
  ]);
  t.match(text, /^SERVICE .* AFFINITY +CARRIER +STATE$/m);
  t.match(text, /^a .* none +kernel +serving$/m);
  t.match(text, /^default\/web:http .* none +relay +serving$/m);
  t.end();
});

t.test('rows are sorted, in whatever order the portals come', (t) => {
  const named = (name: string) => portalStatus({ key: `${name}/TCP/IPv4`, service: name, portName: '' });
  const text = portalTable(['b/web', 'a/web', 'b/api'].map(named));
  t.same(text.match(/^[ab]\/\w+/gm), ['a/web', 'b/api', 'b/web']);
  t.end();
});

t.test('endpoints beyond four are counted', (t) => {
  const endpoints = Array.from({ length: 7 }, (_, index) => `10.0.0.${index}:80`);
  const text = portalTable([portalStatus({ endpoints })]);
  t.match(text, '10.0.0.3:80');
  t.notMatch(text, '10.0.0.4:80');
  t.match(text, '+ 3 more');
  t.end();
});

t.test('with counters, a column has the open connections and flows', (t) => {
  const relayed = portalCounters({ connectionsActive: 2, flowsActive: 1 });
  const carried = portalCounters({ carriedConnectionsActive: 30, carriedFlowsActive: 40 });
  for (const [counters, open] of [
    [relayed, 3],
    [carried, 70],
  ] as const) {
    const text = portalTable([portalStatus()], [counters]);
    t.match(text, /OPEN$/m);
    t.match(text, new RegExp(` ${open}$`, 'm'));
  }
  t.end();
});
