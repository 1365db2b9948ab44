import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as otherWork } from 'node:timers/promises';
import { pino } from 'pino';
import t from 'tap';
import { AddressDriver } from '../../lib/redirect/address.js';
import { clearAll } from '../../lib/redirect/clear.js';
import type { RunCommand } from '../../lib/redirect/command.js';
import { createRedirectDriver, type RedirectOptions } from '../../lib/redirect/create.js';
import type { Redirect, RedirectError } from '../../lib/redirect/driver.js';
import { Pod, sh } from './namespace.js';
import { NameServer, reach, reachFrom } from './reach.js';

const log = pino({ level: 'silent' });
const noPrograms: RunCommand = async () => null;
const pod = new Pod();

const directory = mkdtempSync(join(tmpdir(), 'kube-portal-address-'));
t.teardown(() => rmSync(directory, { recursive: true }));
const stateDir = join(directory, 'state');
const record = join(stateDir, 'addresses.json');

function open(): Promise<AddressDriver> {
  return AddressDriver.open({ log, stateDir });
}

function redirect(name: string, ...addresses: string[]): Redirect {
  return {
    id: name,
    label: `default/${name}:main`,
    protocol: 'TCP',
    family: addresses[0].includes(':') ? 'IPv6' : 'IPv4',
    vips: addresses.map((address) => ({ address, port: 80 })),
    proxyPort: 1,
  };
}

/** The loopback device's addresses, as the kernel's own tool sees them, without those it always has. */
function onLoopback(): string[] {
  const found = sh('ip -o addr show dev lo').matchAll(/inet6? (\S+)/g);
  return [...found]
    .map(([, address]) => address)
    .filter((a) => a !== '127.0.0.1/8' && a !== '::1/128')
    .sort();
}

t.test('VIPs are reached from the node and from a pod', async (t) => {
  const driver = await open();
  const vips = ['10.96.0.10', 'fd00:96::10'] as const;
  await driver.apply({ set: [redirect('four', vips[0]), redirect('six', vips[1])], remove: [] });
  t.strictSame(onLoopback(), ['10.96.0.10/32', 'fd00:96::10/128']);
  const server = await NameServer.start('web', vips);
  for (const address of vips) {
    for (const protocol of ['TCP', 'UDP'] as const) {
      const target = { protocol, address, port: server.port };
      t.equal(await reach(target), 'web', `${protocol} ${address} from the node`);
      t.equal(await reachFrom(pod.namespace, target), 'web', `${protocol} ${address} from a pod`);
    }
  }
  server.close();
  await driver.clear();
  t.strictSame(onLoopback(), []);
  t.notOk(existsSync(record));
});

t.test('an address is recorded at once, and added when its portal listens', async (t) => {
  const driver = await open();
  let startListening = () => {};
  const listening = new Promise<void>((resolve) => (startListening = resolve));
  const applied = driver.apply({ set: [redirect('web', '10.96.0.15')], remove: [] }, listening);
  while (!existsSync(record)) await otherWork();
  t.strictSame(onLoopback(), []);
  startListening();
  await applied;
  t.strictSame(onLoopback(), ['10.96.0.15/32']);
  await driver.clear();
});

t.test('an address stays as long as one portal wants it', async (t) => {
  const driver = await open();
  const shared = '10.96.0.20';
  await driver.apply({ set: [redirect('a', shared, '10.96.0.21'), redirect('b', shared)], remove: [] });
  await driver.apply({ set: [], remove: ['a'] });
  t.strictSame(onLoopback(), ['10.96.0.20/32']);
  await driver.apply({ set: [redirect('b', '10.96.0.22')], remove: [] });
  t.strictSame(onLoopback(), ['10.96.0.22/32']);
  await driver.apply({ set: [], remove: ['b'] });
  t.strictSame(onLoopback(), []);
  await driver.clear();
});

t.test('an address that the node has is used and never removed', async (t) => {
  sh('ip addr add 192.0.2.1/32 dev lo');
  const driver = await open();
  const change = { set: [redirect('a', '192.0.2.1', Pod.router.IPv4, '192.0.2.2')], remove: [] };
  await driver.apply(change);
  t.strictSame(onLoopback(), ['192.0.2.1/32', '192.0.2.2/32']);
  t.equal(await driver.audit(), 0);
  await driver.clear();
  t.strictSame(onLoopback(), ['192.0.2.1/32']);
  sh('ip addr del 192.0.2.1/32 dev lo');
});

t.test('what others take away is put back', async (t) => {
  const driver = await open();
  await driver.apply({ set: [redirect('a', '10.96.0.30', '10.96.0.31')], remove: [] });
  t.equal(await driver.audit(), 0);
  sh('ip addr del 10.96.0.31/32 dev lo');
  t.equal(await driver.audit(), 1);
  t.strictSame(onLoopback(), ['10.96.0.30/32', '10.96.0.31/32']);
  await driver.clear();
});

t.test('thousands of addresses', async (t) => {
  const driver = await open();
  const many = Array.from({ length: 2000 }, (_, i) => `10.100.${i >> 8}.${i & 255}`);
  await driver.apply({ set: [redirect('many', ...many)], remove: [] });
  t.equal(onLoopback().length, 2000);
  t.equal(await driver.audit(), 0);
  await driver.clear();
  t.strictSame(onLoopback(), []);
});

/** A process that adds an address and is killed. */
async function runAndKill(address: string): Promise<void> {
  const script = `
    import { pino } from ${JSON.stringify(import.meta.resolve('pino'))};
    import { AddressDriver } from ${JSON.stringify(import.meta.resolve('../../lib/redirect/address.js'))};
    const driver = await AddressDriver.open({ log: pino({ level: 'silent' }), stateDir: ${JSON.stringify(stateDir)} });
    await driver.apply({ set: [${JSON.stringify(redirect('killed', address))}], remove: [] });
    process.kill(process.pid, 'SIGKILL');`;
  await once(execFile(process.execPath, ['--input-type=module', '-e', script]), 'exit');
}

t.test('what a killed run left is removed or taken over', async (t) => {
  await runAndKill('10.96.0.40');
  t.strictSame(onLoopback(), ['10.96.0.40/32']);
  const driver = await open();
  await driver.apply({ set: [redirect('a', '10.96.0.41')], remove: [] });
  t.strictSame(onLoopback(), ['10.96.0.41/32']);
  await driver.clear();

  await runAndKill('10.96.0.40');
  const heir = await open();
  await heir.apply({ set: [redirect('a', '10.96.0.40')], remove: [] });
  await heir.clear();
  t.strictSame(onLoopback(), [], 'it was ours before and is ours again');

  await runAndKill('10.96.0.40');
  t.strictSame(await clearAll(stateDir, noPrograms), ['1 addresses of the loopback device']);
  t.strictSame(onLoopback(), []);
});

t.test('an address that cannot be added is named; the others work', async (t) => {
  sh('sysctl -qw net.ipv6.conf.lo.disable_ipv6=1');
  const driver = await open();
  t.match(driver.unsupported.get('IPv6'), /disable_ipv6=0/);
  const change = { set: [redirect('six', 'fd00:96::10'), redirect('four', '10.96.0.50')], remove: [] };
  const error = await driver.apply(change).then(
    () => null,
    (error: RedirectError) => error,
  );
  t.match(error, {
    name: 'RedirectError',
    message: /fd00:96::10 for default\/six:main .*disable_ipv6/,
  });
  t.ok(error?.concerns('six'));
  t.notOk(error?.concerns('four'));
  t.strictSame(onLoopback(), ['10.96.0.50/32']);
  sh('sysctl -qw net.ipv6.conf.lo.disable_ipv6=0');
  t.equal(await driver.audit(), 1);
  t.strictSame(onLoopback(), ['10.96.0.50/32', 'fd00:96::10/128']);
  await driver.clear();
});

t.test('without a record nothing is added', async (t) => {
  const driver = await AddressDriver.open({ log, stateDir: join(directory, 'later') });
  writeFileSync(join(directory, 'later'), '');
  await t.rejects(driver.apply({ set: [redirect('a', '10.96.0.60')], remove: [] }), {
    name: 'RedirectError',
    message: /cannot write .*addresses\.json.*--state-dir/,
  });
  t.strictSame(onLoopback(), []);
  rmSync(join(directory, 'later'));
  t.equal(await driver.audit(), 1);
  await driver.clear();
});

t.test('a damaged record is not guessed at', async (t) => {
  await (await open()).apply({ set: [redirect('a', '10.96.0.70')], remove: [] });
  writeFileSync(record, '{"addr');
  await t.rejects(open(), { name: 'RedirectError', message: /addresses\.json is damaged/ });
  sh('ip addr del 10.96.0.70/32 dev lo');
  rmSync(record);
});

t.test('the loopback device must be up', async (t) => {
  sh('ip link set lo down');
  await t.rejects(open(), { name: 'RedirectError', message: /ip link set lo up/ });
  sh('ip link set lo up');
});

t.test('the choice of a driver', async (t) => {
  const bindAddress = { IPv4: '0.0.0.0', IPv6: '::' };
  const proxyPortRange = { first: 1024, last: 65535 };
  const options: RedirectOptions = { log, stateDir, bindAddress, proxyPortRange };
  const without = { ...options, run: noPrograms };

  await t.test('auto takes iptables where it works, and clears what the address driver left', async (t) => {
    await runAndKill('10.96.0.80');
    const driver = await createRedirectDriver('auto', options);
    t.equal(driver.name, 'iptables');
    t.strictSame(onLoopback(), []);
    await driver.apply({ set: [redirect('a', '10.96.0.81')], remove: [] });
  });

  await t.test('address clears what the iptables driver left', async (t) => {
    const driver = await createRedirectDriver('address', options);
    t.equal(driver.name, 'address');
    t.notMatch(sh('iptables-nft-save; iptables-legacy-save'), /KUBE-PORTAL/);
  });

  await t.test('auto takes addresses where there is no iptables', async (t) => {
    t.equal((await createRedirectDriver('auto', without)).name, 'address');
  });

  await t.test('iptables is not replaced when it was asked for', async (t) => {
    await t.rejects(createRedirectDriver('iptables', without), { message: /--redirect=address/ });
  });

  await t.test('none does nothing', async (t) => {
    const driver = await createRedirectDriver('none', without);
    await driver.apply({ set: [redirect('a', '10.96.0.90')], remove: [] });
    t.equal(await driver.audit(), 0);
    t.strictSame(onLoopback(), []);
    await driver.clear();
  });
});
