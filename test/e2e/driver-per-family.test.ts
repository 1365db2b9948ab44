import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { startBackend } from '../lab/backend.js';
import type { Host } from '../lab/host.js';
import { KubePortal } from '../lab/kubeportal.js';
import { Lab } from '../lab/lab.js';
import { serviceWithPods } from '../lab/manifest.js';
import { LAUNCHERS, pathWith } from '../lab/path.js';
import { tallies } from '../lab/tally.js';
import { tracesIn } from '../lab/traces.js';

t.setTimeout(0);

const BIN = fileURLToPath(new URL('../../../bin/kube-portal', import.meta.url));
const VIPS = ['10.96.0.10', 'fd00:96::10'];
const PORTS = (['TCP', 'UDP'] as const).map((protocol) => ({
  name: protocol.toLowerCase(),
  protocol,
  port: 80,
  targetPort: 8080,
  nodePort: 30_080,
}));
const MIXED = 'iptables (IPv6: address)';
const FALLBACK =
  /^IPv6 is served with addresses on the loopback device, not with iptables: ip6tables-nft-restore failed: /;
const IPV4_RULE = /^-A .*-d 10\.96\.0\.10\/32 /;
const IPV6_RULE = /^-A .*-d fd00:96::10\/128 /;
const DAMAGE = 'iptables -t nat -F && ip addr del fd00:96::10/128 dev lo';

const directory = mkdtempSync(join(tmpdir(), 'kube-portal-families-'));
t.teardown(() => rmSync(directory, { recursive: true }));

/**
 * iptables programs for IPv6, as on a kernel without ip6table_nat: rules of the nat table cannot be added,
 * only removed.
 */
for (const backend of ['nft', 'legacy']) {
  const program = `ip6tables-${backend}-restore`;
  const lines = [
    '#!/bin/sh',
    'input=$(cat)',
    'case $input in *"-A KUBE-PORTAL"*REDIRECT*|*"-A KUBE-PORTAL"*"--dport 9 "*)',
    '  echo "no nat table for IPv6" >&2; exit 1;;',
    'esac',
    `printf '%s\\n' "$input" | exec /usr/sbin/${program} "$@"`,
    '',
  ];
  writeFileSync(join(directory, program), lines.join('\n'), { mode: 0o755 });
}
const WITHOUT_IPV6_NAT = { PATH: `${directory}:${process.env.PATH}` };

async function setUp(t: Test) {
  const lab = await Lab.forTest(t, { pods: ['client', 'a', 'b'], iptables: 'nft' });
  const pods = [lab.pod('a'), lab.pod('b')];
  const [a] = await Promise.all(
    pods.map((pod) => startBackend(pod, { tcp: { 8080: 'name' }, udp: { 8080: 'name' } })),
  );
  const objects = serviceWithPods({ name: 'web', clusterIPs: VIPS, ports: PORTS }, pods);
  const vips = VIPS.flatMap((address) => PORTS.map(({ protocol, port }) => ({ protocol, port, address })));
  const nodePorts = [lab.node.address4, lab.node.address6].flatMap((address) =>
    PORTS.map(({ protocol, nodePort: port }) => ({ protocol, port, address })),
  );
  const isServed = async (hosts: readonly Host[], expected: object) => {
    for (const host of hosts) {
      for (const [what, places] of Object.entries({ vips, nodePorts })) {
        const counts = await tallies(
          host,
          places.map((place) => ({ ...place, times: 4 })),
        );
        t.same(counts, Array(4).fill(expected), `${what} from ${host.name}`);
      }
    }
  };
  const start = (flags: readonly string[] = [], env = WITHOUT_IPV6_NAT) =>
    KubePortal.forTest(t, lab.node, { objects, env, flags: ['--iptables-sync-period=1s', ...flags] });
  const cleanup = ({ stateDirectory }: KubePortal) =>
    lab.node.exec(process.execPath, [BIN, 'run', '--cleanup', '--state-dir', stateDirectory]);
  const everywhere = [lab.pod('client'), lab.outside, lab.node];
  return { lab, pods, a, start, isServed, cleanup, everywhere };
}

t.test('each family has the driver that works for it', async (t) => {
  const { lab, a, start, isServed, cleanup, everywhere } = await setUp(t);
  const client = [lab.pod('client')];
  let kubePortal = await start();
  const both = { a: 2, b: 2 };

  await t.test('each family is served, and log and status name its driver', async (t) => {
    await isServed(everywhere, both);
    const { driver, fallbacks, portals } = await kubePortal.status();
    t.equal(driver, MIXED);
    t.match(fallbacks, [FALLBACK]);
    t.equal(kubePortal.log.filter(({ msg }) => FALLBACK.test(msg)).length, 1, 'said once');
    t.same([...new Set(portals.map(({ state }) => state))], ['serving']);
    for (const { family, proxyPort } of portals) t.equal(proxyPort !== null, family === 'IPv4', family);
    const traces = await tracesIn(lab.node);
    t.ok(traces.some((line) => IPV4_RULE.test(line)));
    t.notOk(traces.some((line) => IPV6_RULE.test(line)));
    t.same(
      traces.filter((line) => !line.includes('KUBE-PORTAL')),
      ['fd00:96::10/128'],
    );
    const { stdout } = await lab.node.exec(process.execPath, [BIN, 'status']);
    t.match(stdout, /^redirect: iptables \(IPv6: address\), .*\nredirect: IPv6 is served with addresses/);
  });

  await t.test('what other programs remove is put back', async () => {
    const before = (await tracesIn(lab.node)).sort();
    await lab.node.must('sh', ['-c', DAMAGE]);
    const isWhole = async () => (await tracesIn(lab.node)).sort().join() === before.join();
    await kubePortal.until(isWhole, 'all is as before');
    await isServed(client, both);
  });

  await t.test('after SIGKILL, a new start has the same ports and repairs damage', async (t) => {
    const ports = async () =>
      (await kubePortal.status()).portals.map(({ key, proxyPort }) => [key, proxyPort]);
    const before = await ports();
    await kubePortal.kill9();
    await lab.node.must('sh', ['-c', DAMAGE]);
    await kubePortal.startAgain();
    await isServed(client, both);
    t.same(await ports(), before);
  });

  await t.test('--cleanup removes everything after SIGKILL', async (t) => {
    await kubePortal.kill9();
    const { code, stdout, stderr } = await cleanup(kubePortal);
    t.match({ code, stderr }, { code: 0, stderr: '' });
    t.match(stdout, /^removed \d+ iptables chains .*\nremoved 1 addresses/);
    t.same(await tracesIn(lab.node), []);
  });

  await t.test('clients of a dead endpoint get another one, and SIGTERM leaves nothing behind', async (t) => {
    kubePortal = await start();
    await isServed(client, both);
    await a?.stop('SIGKILL');
    await isServed(client, { b: 4 });
    t.equal(await kubePortal.stop(), 0);
    t.same(await tracesIn(lab.node), []);
  });
});

t.test('a new start takes over from a run with other drivers', async (t) => {
  const { lab, start, isServed } = await setUp(t);
  const client = [lab.pod('client')];
  const whole = { PATH: process.env.PATH ?? '' };
  const first = await start([], whole);
  t.equal((await first.status()).driver, 'iptables');
  const state = `--state-dir=${first.stateDirectory}`;
  let last = first;
  const next = async (driver: string, flags: readonly string[], env: typeof whole) => {
    await last.kill9();
    last = await start([state, ...flags], env);
    t.equal((await last.status()).driver, driver);
    await isServed(client, { a: 2, b: 2 });
    const traces = await tracesIn(lab.node);
    return {
      rules4: traces.some((line) => IPV4_RULE.test(line)),
      rules6: traces.some((line) => IPV6_RULE.test(line)),
      addresses: traces.filter((line) => !line.includes('KUBE-PORTAL')),
    };
  };
  t.same(await next(MIXED, [], WITHOUT_IPV6_NAT), {
    rules4: true,
    rules6: false,
    addresses: ['fd00:96::10/128'],
  });
  t.same(await next('address', ['--redirect=address'], whole), {
    rules4: false,
    rules6: false,
    addresses: ['10.96.0.10/32', 'fd00:96::10/128'],
  });
  t.same(await next(MIXED, [], WITHOUT_IPV6_NAT), {
    rules4: true,
    rules6: false,
    addresses: ['fd00:96::10/128'],
  });
  t.same(await next('iptables', [], whole), { rules4: true, rules6: true, addresses: [] });
  await last.kill9();
  last = await start([state, '--keep-rules'], WITHOUT_IPV6_NAT);
  const before = await tracesIn(lab.node);
  t.equal(await last.stop(), 0);
  t.same(await tracesIn(lab.node), before, '--keep-rules keeps both');
});

t.test('--redirect=iptables uses no other driver, and the log says why', async (t) => {
  const { start } = await setUp(t);
  const kubePortal = await start(['--redirect=iptables']);
  const { driver, fallbacks, portals } = await kubePortal.status();
  t.equal(driver, 'iptables');
  t.same(fallbacks, []);
  for (const { family, state, problems } of portals) {
    t.equal(state, family === 'IPv4' ? 'serving' : 'unsupported');
    if (family === 'IPv6') t.match(problems, [/^VIPs of IPv6 are not served: .*use --redirect=auto/]);
  }
});

t.test('without programs for IPv6, the address driver serves IPv6 until iptables works again', async (t) => {
  const { lab, start, isServed } = await setUp(t);
  const client = [lab.pod('client')];
  const both = { a: 2, b: 2 };
  const programs = ['nft', 'legacy'].flatMap((backend) =>
    ['save', 'restore'].map((action) => `iptables-${backend}-${action}`),
  );
  const env = { PATH: await pathWith(t, [...LAUNCHERS, ...programs]) };
  const first = await start([], env);
  const { driver, fallbacks, portals } = await first.status();
  t.equal(driver, MIXED);
  t.match(fallbacks, [
    /^IPv6 is served with addresses .* not with iptables: ip6tables-nft-restore is not installed: apt-get install iptables$/,
  ]);
  t.same([...new Set(portals.map(({ state }) => state))], ['serving']);
  await isServed(client, both);

  await first.kill9();
  const state = `--state-dir=${first.stateDirectory}`;
  const second = await start([state], { PATH: process.env.PATH ?? '' });
  t.equal((await second.status()).driver, 'iptables');
  await isServed(client, both);
  const traces = await tracesIn(lab.node);
  t.ok(traces.some((line) => IPV6_RULE.test(line)));
  t.notOk(traces.includes('fd00:96::10/128'), 'IPv6 is no address any more');

  t.equal(await second.stop(), 0);
  t.same(await tracesIn(lab.node), []);
});

t.test('without programs for IPv6, --redirect=iptables serves IPv4 only', async (t) => {
  const { start } = await setUp(t);
  const programs = ['iptables-nft-save', 'iptables-nft-restore'];
  const env = { PATH: await pathWith(t, [...LAUNCHERS, ...programs]) };
  const kubePortal = await start(['--redirect=iptables'], env);
  const { driver, portals } = await kubePortal.status();
  t.equal(driver, 'iptables');
  for (const { family, state, problems } of portals) {
    t.equal(state, family === 'IPv4' ? 'serving' : 'unsupported');
    if (family === 'IPv6') t.match(problems, [/ip6tables-nft-restore is not installed/]);
  }
});
