import fc from 'fast-check';
import t from 'tap';
import { parseService } from '../../lib/model/parse-service.js';
import { DEFAULT_POLICY, type ServicePolicy } from '../../lib/portal/policy.js';
import { buildHere, objectSet, rawService, service, unwrap } from './fixtures.js';

const PINNED = { sessionAffinity: 'ClientIP' };
const UDP = { ports: [{ port: 7410, protocol: 'UDP' }] };
const DDS = { ...PINNED, ...UDP };

function read(annotations: unknown, spec: Readonly<Record<string, unknown>> = DDS) {
  const { policy, refused } = unwrap(parseService(rawService(spec, { annotations })));
  return { policy, refused: refused.map(({ field, message }) => `${field}: ${message}`) };
}

/** What becomes of one annotation. `own` is the name behind the prefix. */
function readOne(own: string, value: unknown, spec?: Readonly<Record<string, unknown>>) {
  return read({ [`kube-portal.dev/${own}`]: value }, spec);
}

t.test('annotations choose the policy', async (t) => {
  const timeoutMs = 10_800_000;
  for (const by of ['client-ip', 'rtps-participant', 'rtps-host']) {
    t.same(readOne('affinity-key', by), {
      policy: { affinity: { by, timeoutMs }, rtpsRouting: null, activeStandby: false, carrier: null },
      refused: [],
    });
  }
  for (const routing of ['pin', 'follow', 'fan-out']) {
    t.match(readOne('rtps-routing', routing), { policy: { rtpsRouting: routing }, refused: [] });
  }
  for (const carrier of ['auto', 'kernel', 'relay']) {
    t.same(readOne('carrier', carrier, {}), { policy: { ...DEFAULT_POLICY, carrier }, refused: [] });
  }
  t.match(readOne('active-standby', 'true', {}), { policy: { activeStandby: true, affinity: null } });
  t.same(readOne('active-standby', 'false', {}).policy, DEFAULT_POLICY);
});

t.test('a Service without them shares the record of those that ask for nothing', async (t) => {
  t.equal(service({}, { annotations: { 'example.org/affinity-key': 'x' } }).policy, DEFAULT_POLICY);
  t.equal(service({}, { annotations: null }).policy, DEFAULT_POLICY);
});

t.test('an annotation that cannot be used is refused, with value and reason', async (t) => {
  const path = (own: string) => `metadata.annotations["kube-portal.dev/${own}"]`;
  const table: [string, unknown, Readonly<Record<string, unknown>>, string][] = [
    [
      'affinity-key',
      'participant',
      DDS,
      '"participant" is not one of client-ip, rtps-participant, rtps-host',
    ],
    ['affinity-key', null, DDS, 'missing; give one of client-ip, rtps-participant, rtps-host'],
    [
      'affinity-key',
      'rtps-host',
      UDP,
      '"rtps-host" needs spec.sessionAffinity: ClientIP, as nothing is pinned without it',
    ],
    ['affinity-key', 'rtps-host', PINNED, '"rtps-host" needs a UDP port, and the Service has none'],
    ['rtps-routing', 'fanout', DDS, '"fanout" is not one of pin, follow, fan-out'],
    ['rtps-routing', 'follow', PINNED, '"follow" needs a UDP port, and the Service has none'],
    [
      'rtps-routing',
      'pin',
      UDP,
      '"pin" needs spec.sessionAffinity: ClientIP, as nothing is pinned without it',
    ],
    ['active-standby', 'yes', {}, '"yes" is not one of true, false'],
    ['carrier', 'ebpf', {}, '"ebpf" is not one of auto, kernel, relay'],
    ['active-standby', true, {}, 'true is not a string; put it in quotes'],
  ];
  for (const [own, value, spec, reason] of table) {
    const { policy, refused } = readOne(own, value, spec);
    t.same(refused, [`${path(own)}: ${reason}`]);
    t.same(policy, service(spec).policy, 'it is served as if the annotation were not there');
  }
});

t.test('follow and fan-out contradict active-standby, which stays', async (t) => {
  for (const routing of ['follow', 'fan-out']) {
    const both = { 'kube-portal.dev/rtps-routing': routing, 'kube-portal.dev/active-standby': 'true' };
    t.match(read(both, UDP), {
      policy: { rtpsRouting: null, activeStandby: true },
      refused: [/rtps-routing"\]: ".*" needs several endpoints .* remove one of the two$/],
    });
  }
  const pinned = { 'kube-portal.dev/rtps-routing': 'pin', 'kube-portal.dev/active-standby': 'true' };
  t.match(read(pinned, UDP), { policy: { rtpsRouting: 'pin', activeStandby: true }, refused: [] });
});

t.test('an unknown annotation is refused, with the name that was meant', async (t) => {
  const advice = (own: string) => readOne(own, 'x', {}).refused.join();
  for (const [wrong, meant] of [
    ['afinity-key', 'affinity-key'],
    ['AffinityKey', 'affinity-key'],
    ['rtps_routing', 'rtps-routing'],
    ['active-standby-mode', 'active-standby'],
    ['carier', 'carrier'],
  ] as const) {
    t.equal(
      advice(wrong),
      `metadata.annotations: kube-portal knows no annotation "kube-portal.dev/${wrong}"; ` +
        `did you mean kube-portal.dev/${meant}?`,
    );
  }
  t.match(advice('timeout'), /; it knows kube-portal.dev\/affinity-key, kube-portal.dev\/rtps-routing, /);
  t.ok(advice(`${'x'.repeat(1_000_000)}\n`).length < 400);
  t.same(read(['a'], {}).refused, ['metadata.annotations: a list is not a mapping']);
});

t.test('what was refused is a problem of the Service, which is served', async (t) => {
  const web = service({}, { annotations: { 'kube-portal.dev/affinity-key': 'rtps-host' } });
  const { snapshot, problems } = buildHere(objectSet([web]));
  t.equal(snapshot.size, 1);
  t.match(problems, [
    { object: 'Service default/web', field: 'metadata.annotations["kube-portal.dev/affinity-key"]' },
  ]);
});

const anyAnnotation = fc.tuple(
  fc.oneof(
    fc.constantFrom('affinity-key', 'rtps-routing', 'active-standby', 'carrier', 'affinity', ''),
    fc.string({ unit: 'grapheme' }),
  ),
  fc.oneof(
    fc.constantFrom('client-ip', 'rtps-participant', 'rtps-host', 'pin', 'follow', 'fan-out'),
    fc.constantFrom('true', 'false', 'auto', 'kernel', 'relay'),
    fc.jsonValue(),
  ),
);
const anySpec = fc
  .tuple(fc.constantFrom({}, PINNED), fc.constantFrom({}, UDP))
  .map(([affinity, ports]) => ({ ...affinity, ...ports }));

t.test('each annotation is used or refused, and the policy always makes sense', async () => {
  fc.assert(
    fc.property(fc.array(anyAnnotation, { maxLength: 4 }), anySpec, (annotations, spec) => {
      const given = Object.fromEntries(
        annotations.map(([own, value]) => [`kube-portal.dev/${own}`, value] as const),
      );
      const { policy, refused } = read(given, spec);
      const used = usedBy(policy).filter((own) => `kube-portal.dev/${own}` in given);
      const idle = ['client-ip', 'false'];
      const silent = Object.entries(given).filter(([, value]) => idle.includes(String(value)));
      return (
        refused.length + used.length <= Object.keys(given).length &&
        refused.length + used.length + silent.length >= Object.keys(given).length &&
        refused.every((one) => one.length < 400) &&
        makesSense(policy, spec)
      );
    }),
    { numRuns: 1000 },
  );
});

function usedBy({ affinity, rtpsRouting, activeStandby, carrier }: ServicePolicy): string[] {
  return [
    ...(affinity === null || affinity.by === 'client-ip' ? [] : ['affinity-key']),
    ...(rtpsRouting === null ? [] : ['rtps-routing']),
    ...(activeStandby ? ['active-standby'] : []),
    ...(carrier === null ? [] : ['carrier']),
  ];
}

function makesSense({ affinity, rtpsRouting, activeStandby }: ServicePolicy, spec: object): boolean {
  const usesRtps = rtpsRouting !== null || (affinity !== null && affinity.by !== 'client-ip');
  if ((affinity !== null) !== 'sessionAffinity' in spec) return false;
  if (usesRtps && !('ports' in spec)) return false;
  return rtpsRouting === null || rtpsRouting === 'pin' || !activeStandby;
}
