import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import t from 'tap';
import type { Family } from '../../lib/net/address.js';
import { type RunCommand, runCommand } from '../../lib/redirect/command.js';
import { createRedirectDriver } from '../../lib/redirect/create.js';
import {
  type Capture,
  type CarrierSupport,
  noCarrier,
  type PreparedChange,
  type Redirect,
  type RedirectChange,
  type RedirectDriver,
  RedirectError,
  RedirectsRefused,
} from '../../lib/redirect/driver.js';
import { PerFamilyDriver } from '../../lib/redirect/perfamily.js';
import { apply } from './apply.js';
import { sh } from './namespace.js';
import { CARRIER } from './ownflows.js';
import { RELAYED } from './relayed.js';

/** Writes down what it is told, and fails where the test says so. */
class FakeDriver implements RedirectDriver {
  readonly name = 'fake';
  readonly bringsTraffic = true;
  readonly unsupported = new Map();
  readonly steps: string[] = [];
  failure: { readonly at: 'prepare' | 'commit' | 'audit' | 'clear'; readonly error: Error } | null = null;

  captureOf(): Capture {
    return 'port';
  }

  async openCarrier(): Promise<CarrierSupport> {
    return noCarrier('a driver of a test');
  }

  async prepare({ set, remove }: RedirectChange): Promise<PreparedChange> {
    this.#step('prepare', [...set.map(({ id }) => id), ...remove.map((id) => `-${id}`)].join());
    return { commit: async () => this.#step('commit'), abandon: () => this.#step('abandon') };
  }

  async audit(): Promise<number> {
    this.#step('audit');
    return 1;
  }

  async clear(): Promise<void> {
    this.#step('clear');
  }

  #step(what: string, details = ''): void {
    this.steps.push(`${what} ${details}`.trim());
    if (this.failure?.at === what) throw this.failure.error;
  }
}

const FOUR = redirect('four', 'IPv4');
const SIX = redirect('six', 'IPv6');
const BOTH = { set: [FOUR, SIX], remove: ['gone'] };

function redirect(id: string, family: Family): Redirect {
  return { id, label: id, protocol: 'TCP', family, vips: [], proxyPort: 1, ...RELAYED };
}

function open() {
  const fakes = { IPv4: new FakeDriver(), IPv6: new FakeDriver() };
  return { fakes, driver: new PerFamilyDriver(fakes) };
}

/** What the promise is rejected with, and which redirects it concerns. */
async function failureOf(work: Promise<unknown>) {
  const error = await work.then(
    () => null,
    (error: unknown) => error,
  );
  if (!(error instanceof RedirectError)) throw error;
  const { name, message } = error;
  return { name, message, isRefusal: error instanceof RedirectsRefused, concerns: concernedBy(error) };
}

function concernedBy(error: RedirectError): string[] {
  return [FOUR, SIX].map(({ id }) => id).filter((id) => error.concerns(id));
}

t.test('each driver gets the redirects of its family, and all removals', async (t) => {
  const { fakes, driver } = open();
  const prepared = await driver.prepare(BOTH);
  t.same(fakes.IPv4.steps, ['prepare four,-gone']);
  t.same(fakes.IPv6.steps, ['prepare six,-gone']);
  await prepared.commit();
  t.equal(await driver.audit(), 2, 'repairs of both');
  await driver.clear();
  for (const { steps } of Object.values(fakes)) t.same(steps.slice(1), ['commit', 'audit', 'clear']);
});

t.test('a change is committed before the next one is prepared', async (t) => {
  const { fakes, driver } = open();
  const first = await driver.prepare(BOTH);
  await t.rejects(driver.prepare(BOTH), /before this one was not committed/);
  await first.commit();
  await t.rejects(first.commit(), /committed before/);
  t.same(fakes.IPv4.steps, ['prepare four,-gone', 'commit']);
});

t.test('a change is abandoned in each driver, then the next change may come', async (t) => {
  const { fakes, driver } = open();
  const first = await driver.prepare(BOTH);
  first.abandon();
  await t.rejects(first.commit(), /committed before, or abandoned/);
  await apply(driver, { set: [SIX], remove: ['four'] });
  t.same(fakes.IPv6.steps, ['prepare six,-gone', 'abandon', 'prepare six,-four', 'commit']);
});

for (const at of ['prepare', 'commit'] as const) {
  t.test(`a driver that fails to ${at} leaves the other family served`, async (t) => {
    const { fakes, driver } = open();
    fakes.IPv6.failure = { at, error: new RedirectError('no luck') };
    t.match(await failureOf(apply(driver, BOTH)), {
      message: 'no luck',
      isRefusal: false,
      concerns: ['six'],
    });
    t.equal(fakes.IPv4.steps.at(-1), 'commit');
  });
}

t.test('if one driver fails, audit and clear go on with the other', async (t) => {
  const { fakes, driver } = open();
  await apply(driver, BOTH);
  fakes.IPv4.failure = { at: 'audit', error: new RedirectError('no luck') };
  t.match(await failureOf(driver.audit()), { message: 'no luck', concerns: ['four'] });
  fakes.IPv4.failure = { at: 'clear', error: new RedirectError('no luck') };
  t.match(await failureOf(driver.clear()), { message: 'no luck' });
  t.same(fakes.IPv6.steps.slice(-2), ['audit', 'clear']);
});

t.test('refusals alone are reported as refusals, together with a failure they are not', async (t) => {
  const { fakes, driver } = open();
  fakes.IPv6.failure = { at: 'commit', error: new RedirectsRefused('no address', ['six']) };
  t.match(await failureOf(apply(driver, BOTH)), { isRefusal: true, concerns: ['six'] });
  fakes.IPv4.failure = { at: 'commit', error: new RedirectError('no luck') };
  t.match(await failureOf(apply(driver, BOTH)), {
    message: 'no luck; no address',
    isRefusal: false,
    concerns: ['four', 'six'],
  });
});

t.test('if ip6tables is not installed, addresses serve IPv6', async (t) => {
  const stateDir = mkdtempSync(join(tmpdir(), 'kube-portal-families-'));
  t.teardown(() => rmSync(stateDir, { recursive: true }));
  const run: RunCommand = async (program, args, input) =>
    program.startsWith('ip6') ? null : runCommand(program, args, input);
  const bindAddress = { IPv4: '0.0.0.0', IPv6: '::' };
  const log = pino({ level: 'silent' });
  const proxyPortRange = { first: 20_000, last: 29_999 };
  const options = { log, stateDir, bindAddress, proxyPortRange, carrier: CARRIER, run };

  const mixed = await createRedirectDriver('auto', options);
  t.equal(mixed.name, 'iptables (IPv6: address)');
  t.same([mixed.captureOf('IPv4'), mixed.captureOf('IPv6')], ['port', 'address']);
  t.match(mixed.fallbacks, [/^IPv6 is served with addresses .*: ip6tables-\w+-restore is not installed/]);
  t.equal(mixed.unsupported.size, 0);
  await mixed.clear();

  sh('sysctl -qw net.ipv6.conf.lo.disable_ipv6=1');
  const plain = await createRedirectDriver('auto', options);
  t.equal(plain.name, 'iptables', 'without IPv6 on lo, addresses cannot serve IPv6');
  t.match(plain.unsupported.get('IPv6'), /ip6tables does not work here .*enable IPv6 on lo/);
  await plain.clear();
});
