import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import pino from 'pino';
import t from 'tap';
import { NodeAddresses } from '../../lib/controlplane/nodeaddresses.js';
import { ServiceProxy } from '../../lib/controlplane/proxy.js';
import { Dataplane } from '../../lib/dataplane/dataplane.js';
import type { DesiredState } from '../../lib/model/desiredstate.js';
import type { ObjectSet } from '../../lib/model/objects.js';
import type { CarrierMode } from '../../lib/portal/carrier.js';
import {
  type Capture,
  type CarrierSupport,
  noCarrier,
  type PreparedChange,
  type Redirect,
  type RedirectChange,
  type RedirectDriver,
} from '../../lib/redirect/driver.js';
import { anyObjects } from '../model/arbitrary.js';
import { buildHere, NODE, objectSet, service, slice } from '../model/fixtures.js';
import { RELAY } from '../portal/fixtures.js';
import { sh } from '../redirect/namespace.js';
import { ALL, BOTH } from './carrying.js';

const PROXY_PORTS = { first: 20_000, last: 20_999 };

/** A driver that records what a real driver would put into the kernel. */
class FakeDriver implements RedirectDriver {
  readonly name = 'iptables';
  readonly unsupported = new Map();
  readonly redirects = new Map<string, Redirect>();

  readonly bringsTraffic = true;

  constructor(
    readonly capture: Capture,
    readonly isCarrying: boolean,
  ) {}

  async openCarrier(): Promise<CarrierSupport> {
    return this.isCarrying ? ALL : noCarrier('a driver of a test');
  }

  captureOf(): Capture {
    return this.capture;
  }

  async prepare(change: RedirectChange): Promise<PreparedChange> {
    return { commit: async () => this.commit(change), abandon: () => {} };
  }

  commit({ set, remove }: RedirectChange): void {
    for (const id of remove) this.redirects.delete(id);
    for (const redirect of set) this.redirects.set(redirect.id, redirect);
  }

  async audit(): Promise<number> {
    return 0;
  }

  async clear(): Promise<void> {
    this.redirects.clear();
  }
}

interface Way {
  readonly capture: Capture;
  readonly mode: CarrierMode;
}

/**
 * What can be seen from outside after these states, one after the other. The numbers of proxy ports may
 * differ.
 */
async function outcomeOf(states: readonly ObjectSet[], { capture, mode }: Way): Promise<string[]> {
  const directory = mkdtempSync(join(tmpdir(), 'kube-portal-test-'));
  const driver = new FakeDriver(capture, mode === 'auto');
  const options = {
    workers: 1,
    bindAddress: { IPv4: '0.0.0.0', IPv6: '::' },
    nodeAddresses: new NodeAddresses([]),
    proxyPortRange: PROXY_PORTS,
    udpTimeoutMs: null,
    rtpsCopies: 20_000,
    carrier: { ...RELAY, mode },
    maxPins: 100,
    syncPeriodMs: 3_600_000,
    stateDir: directory,
    log: pino({ level: 'silent' }),
  };
  const proxy = await ServiceProxy.start(options, async () => driver);
  try {
    let desired: DesiredState | undefined;
    for (const state of states) {
      desired = buildHere(state, desired);
      await proxy.apply(desired.snapshot);
    }
    return [...portalsOf(proxy), ...redirectsOf(driver, proxy), ...listeners()].sort();
  } finally {
    await proxy.stop({ keepRules: false, drainTimeoutMs: 0 });
    rmSync(directory, { recursive: true, force: true });
  }
}

function portalsOf(proxy: ServiceProxy): string[] {
  return proxy.status().portals.map((portal) => JSON.stringify({ ...portal, proxyPort: null }));
}

/** Each redirect must lead to the proxy port of its portal. */
function redirectsOf({ redirects }: FakeDriver, proxy: ServiceProxy): string[] {
  const ports = new Map(proxy.status().portals.map(({ key, proxyPort }) => [key, proxyPort ?? 0]));
  return [...redirects.values()].map((redirect) =>
    JSON.stringify({ ...redirect, proxyPort: redirect.proxyPort === ports.get(redirect.id) }),
  );
}

function listeners(): string[] {
  const places = sh("ss -Hlntu | awk '{ print $1, $5 }'").trim().split('\n');
  return places.map((place) => place.replace(/:20\d{3}$/, ':proxy'));
}

/** A NodePort Service with one endpoint on the node, and changes that move its addresses between portals. */
function nodePortService(spec: object, name = 'http'): ObjectSet {
  const ports = [{ name, port: 80, nodePort: 30080 }];
  const one = service({ type: 'NodePort', externalIPs: ['192.0.2.1'], ports, ...spec });
  const endpoints = [{ addresses: ['10.1.0.1'], nodeName: NODE.name }];
  return objectSet([one], [slice(endpoints, { ports: [{ name, port: 8080 }] })]);
}

const WALKS: [ObjectSet[]][] = [
  [[nodePortService({}), nodePortService({ externalTrafficPolicy: 'Local' })]],
  [[nodePortService({ externalTrafficPolicy: 'Local' }), nodePortService({})]],
  [[nodePortService({}), nodePortService({}, 'web')]],
  [[nodePortService({}), nodePortService({ clusterIP: '10.96.0.99' }, 'web')]],
];

t.setTimeout(0);

const WAYS: readonly Way[] = [
  { capture: 'port', mode: 'relay' },
  { capture: 'port', mode: 'auto' },
  { capture: 'address', mode: 'relay' },
];

// The probe of connection tracking needs a rule.
sh('iptables -t nat -A PREROUTING -j ACCEPT; ip6tables -t nat -A PREROUTING -j ACCEPT');

for (const way of WAYS) {
  t.test(`after any changes, the node is as after a new start: ${JSON.stringify(way)}`, async (t) => {
    t.intercept(Dataplane.prototype, 'openCarrier', { value: async () => BOTH });
    await fc.assert(
      fc.asyncProperty(fc.array(anyObjects, { minLength: 2, maxLength: 5 }), async (states) => {
        const walked = await outcomeOf(states, way);
        const fresh = await outcomeOf(states.slice(-1), way);
        t.same(walked, fresh);
        return t.passing();
      }),
      { numRuns: 25, endOnFailure: true, examples: WALKS },
    );
  });
}
