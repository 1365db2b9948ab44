import fc from 'fast-check';
import t, { type Test } from 'tap';
import { type ActualState, isUnfinished, plan, planTelling, type Step } from '../../lib/controlplane/plan.js';
import { EVERYONE } from '../../lib/portal/admission.js';
import { DEFAULT_POLICY } from '../../lib/portal/policy.js';
import type { Portal, Snapshot } from '../../lib/portal/portal.js';
import { NodeModel } from './nodemodel.js';

const WEB = 'default/web:http/TCP/IPv4';
const API = 'default/api:http/TCP/IPv4';
const VIP = '10.96.0.10';
const OTHER_VIP = '10.96.0.11';

function portal(key: string, address: string, changes: Partial<Portal> = {}): Portal {
  return {
    key,
    service: key.slice(0, key.indexOf(':')),
    portName: 'http',
    protocol: 'TCP',
    family: 'IPv4',
    vips: [{ address, port: 80, masquerade: 'off-cluster' }],
    nodePort: null,
    nodePortMasquerade: 'always',
    policy: DEFAULT_POLICY,
    admission: EVERYONE,
    endpoints: [{ id: 'a', address: '10.244.0.2', port: 8080 }],
    unserved: 'refuse',
    ...changes,
  };
}

function snapshot(...portals: readonly Portal[]): Snapshot {
  return new Map(portals.map((one) => [one.key, one]));
}

function at(portals: Snapshot, rest: Partial<ActualState> = {}): ActualState {
  return { portals, unfinished: new Set(), closing: new Set(), stale: new Set(), ...rest };
}

/** A step in one line, as the table has it. */
function inWords(step: Step): string {
  if (step.do === 'take over') return step.do;
  const stale = step.do === 'redirect' && step.stale.length > 0 ? `, not ${step.stale.join(' ')}` : '';
  return `${[step.do, ...step.keys].join(' ')}${stale}`;
}

const web = portal(WEB, VIP);
const api = portal(API, OTHER_VIP);
const empty = snapshot();
const renamed = portal('default/web:www/TCP/IPv4', VIP, { portName: 'www' });
const v6 = portal('default/web:http/TCP/IPv6', 'fd00::10', { family: 'IPv6' });
const same = snapshot(web);
const comes = (key: string) => ['take over', `open ${key}`, `tell workers ${key}`, `redirect ${key}`];
const changes = (key: string) => ['take over', `close ${key}`, ...comes(key).slice(1)];

const TABLE: readonly [name: string, actual: ActualState, desired: Snapshot, steps: readonly string[]][] = [
  ['nothing differs', at(same), same, []],
  ['an equal snapshot comes', at(same), snapshot(web), ['take over']],
  ['a portal comes', at(empty), snapshot(web), comes(WEB)],
  ['a portal comes beside another', at(snapshot(web)), snapshot(web, api), comes(API)],
  ['a portal goes', at(snapshot(web)), empty, [`unredirect ${WEB}`, 'take over', 'close']],
  ['endpoints change', at(same), snapshot({ ...web, endpoints: [] }), changes(WEB)],
  ['VIPs change', at(same), snapshot(portal(WEB, OTHER_VIP)), changes(WEB)],
  ['a family that no driver serves comes, for its NodePort', at(empty), snapshot(v6), comes(v6.key)],
  [
    'affinity, and with it perhaps the placement, changes',
    at(same),
    snapshot({ ...web, policy: { ...DEFAULT_POLICY, affinity: { by: 'client-ip', timeoutMs: 1000 } } }),
    changes(WEB),
  ],
  [
    'a port gets another name',
    at(same),
    snapshot(renamed),
    [
      'take over',
      `close ${renamed.key}`,
      `open ${renamed.key}`,
      `tell workers ${renamed.key}`,
      `redirect ${renamed.key}, not ${WEB}`,
    ],
  ],
  [
    'a VIP moves from one Service to another: one change of the driver moves it',
    at(same),
    snapshot(portal(API, VIP)),
    ['take over', 'close', `open ${API}`, `tell workers ${API}`, `redirect ${API}, not ${WEB}`],
  ],
  [
    'a NodePort that one gives up another opens',
    at(snapshot({ ...web, nodePort: 30080 }, api)),
    snapshot(web, { ...api, nodePort: 30080 }),
    [
      'take over',
      `close ${WEB} ${API}`,
      `open ${WEB} ${API}`,
      `tell workers ${WEB} ${API}`,
      `redirect ${WEB} ${API}`,
    ],
  ],
  [
    'an earlier run has not told of a portal',
    at(same, { unfinished: new Set([WEB]) }),
    same,
    [`close ${WEB}`, `open ${WEB}`, `tell workers ${WEB}`, `redirect ${WEB}`],
  ],
  ['an earlier run has not closed a portal', at(empty, { closing: new Set([7]) }), empty, ['close']],
  [
    'an earlier run has left a redirect',
    at(empty, { stale: new Set([WEB]) }),
    empty,
    [`redirect, not ${WEB}`],
  ],
  [
    'what an earlier run left is wanted again',
    at(empty, { stale: new Set([WEB]), closing: new Set([7]) }),
    same,
    ['take over', 'close', ...comes(WEB).slice(1)],
  ],
  [
    'nothing leads to a portal any more that is wanted again',
    at(same, { unfinished: new Set([WEB]) }),
    snapshot(web),
    changes(WEB),
  ],
  [
    'what an earlier run has not finished is to go',
    at(same, { unfinished: new Set([WEB]) }),
    empty,
    [`unredirect ${WEB}`, 'take over', 'close'],
  ],
];

for (const [name, actual, desired, steps] of TABLE) {
  t.test(`steps: ${name}`, async (t) => {
    const planned = plan(actual, desired);
    t.same(planned.map(inWords), steps);
    t.equal(isUnfinished(actual, desired), steps.length > 0);
  });
}

const TELLING: readonly [name: string, keys: readonly string[], steps: readonly string[]][] = [
  ['proxy ports move', [WEB, API], [`tell workers ${WEB} ${API}`, `redirect ${WEB} ${API}`]],
  ['no proxy port moves', [], []],
];

for (const [name, keys, steps] of TELLING) {
  t.test(`steps: ${name}`, async (t) => {
    t.same(planTelling(keys).map(inWords), steps);
  });
}

const anyPortal = fc
  .record({
    name: fc.constantFrom('a', 'b', 'c', 'd'),
    portName: fc.constantFrom('http', 'www'),
    vip: fc.constantFrom(VIP, OTHER_VIP, '10.96.0.12'),
    nodePort: fc.constantFrom(null, 30080, 30081),
    hasEndpoints: fc.boolean(),
  })
  .map(({ name, portName, vip, nodePort, hasEndpoints }) =>
    portal(`default/${name}:${portName}/TCP/IPv4`, vip, {
      portName,
      nodePort,
      ...(hasEndpoints ? {} : { endpoints: [] }),
    }),
  );

/** Portals as the model makes them: each place belongs to one portal. */
const anySnapshot = fc.array(anyPortal, { maxLength: 4 }).map((portals) => {
  const places = new Set<string>();
  const alone = portals.filter(({ vips, nodePort }) => {
    const own = [...vips.map(({ address }) => address), ...(nodePort === null ? [] : [`${nodePort}`])];
    if (own.some((place) => places.has(place))) return false;
    for (const place of own) places.add(place);
    return true;
  });
  return snapshot(...alone);
});

function walk(t: Test, walked: readonly { desired: Snapshot; failAt: number }[]): void {
  const node = new NodeModel();
  for (const { desired, failAt } of walked) {
    node.run(plan(node.actual(), desired).slice(0, failAt));
  }
  const last = walked.at(-1)?.desired ?? empty;
  node.run(plan(node.actual(), last));
  node.check(last);
  t.notOk(isUnfinished(node.actual(), last));
}

t.test('after any changes and any failed steps, steps are safe and lead to the desired state', (t) => {
  const step = fc.record({ desired: anySnapshot, failAt: fc.constantFrom(0, 1, 2, 3, 4, 5, 6) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 6 }), (walked) => {
      walk(t, walked);
      return t.passing();
    }),
    { numRuns: 500, endOnFailure: true },
  );
  t.end();
});
