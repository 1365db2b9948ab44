import { execFile } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import t from 'tap';
import { AddressDriver } from '../../lib/redirect/address.js';
import { clearAll } from '../../lib/redirect/clear.js';
import type { RunCommand } from '../../lib/redirect/command.js';
import { createRedirectDriver, type RedirectOptions } from '../../lib/redirect/create.js';
import type { Redirect, RedirectError } from '../../lib/redirect/driver.js';
import { StateDir } from '../../lib/state/statedir.js';
import { item } from '../lab/items.js';
import { notMachineRoot } from '../lab/rights.js';
import { listening } from '../state/listening.js';
import { apply } from './apply.js';
import { Pod, sh } from './namespace.js';
import { CARRIER } from './ownflows.js';
import { NameServer, reach, reachFrom } from './reach.js';
import { RELAYED } from './relayed.js';

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
    family: item(addresses, 0).includes(':') ? 'IPv6' : 'IPv4',
    vips: addresses.map((address) => ({ address, port: 80 })),
    proxyPort: 1,
    ...RELAYED,
  };
}

/** The loopback device's addresses, as the kernel's own tool sees them, without those it always has. */
function onLoopback(): string[] {
  const found = sh('ip -o addr show dev lo').matchAll(/inet6? (\S+)/g);
  return [...found]
    .map(([, address = '']) => address)
    .filter((a) => a !== '127.0.0.1/8' && a !== '::1/128')
    .sort();
}

t.test('VIPs are reached from the node and from a pod', async (t) => {
  const driver = await open();
  const vips = ['10.96.0.10', 'fd00:96::10'] as const;
  await apply(driver, { set: [redirect('four', vips[0]), redirect('six', vips[1])], remove: [] });
  t.strictSame(onLoopback(), ['10.96.0.10/32', 'fd00:96::10/128']);
  const server = await NameServer.start('web', vips);
  for (const address of vips) {
    for (const protocol of ['TCP', 'UDP'] as const) {
      const target = { protocol, address, port: server.port };
      const early = await reachFrom(pod.namespace, target);
      t.equal(early, 'ECONNREFUSED', 'not before a portal listens', { skip: notMachineRoot });
      driver.gate.openPort(target);
      t.equal(await reach(target), 'web', `${protocol} ${address} from the node`);
      t.equal(await reachFrom(pod.namespace, target), 'web', `${protocol} ${address} from a pod`);
    }
  }
  server.close();
  await driver.clear();
  t.strictSame(onLoopback(), []);
  t.notOk(existsSync(record));
});

t.test('changes are prepared and committed one after the other', async (t) => {
  const driver = await open();
  const first = await driver.prepare({ set: [redirect('a', '10.96.0.16')], remove: [] });
  const second = { set: [redirect('b', '10.96.0.17')], remove: [] };
  await t.rejects(driver.prepare(second), /the redirect change before this one was not committed/);
  await first.commit();
  await t.rejects(first.commit(), /was committed before/);
  t.strictSame(onLoopback(), ['10.96.0.16/32'], 'the one that was refused has left nothing');
  await driver.prepare(second);
  t.equal(await driver.audit(), 1, 'an audit puts in place what was prepared');
  await driver.clear();
});

t.test('the next change takes an abandoned change back, or makes it too', async (t) => {
  const driver = await open();
  const abandoned = { set: [redirect('a', '10.96.0.16'), redirect('b', '10.96.0.17')], remove: [] };
  (await driver.prepare(abandoned)).abandon();
  t.strictSame(onLoopback(), []);
  await apply(driver, { set: [redirect('c', '10.96.0.18')], remove: ['a'] });
  t.strictSame(onLoopback(), ['10.96.0.17/32', '10.96.0.18/32']);
  await driver.clear();
});

t.test('an address is recorded at once, and added when its portal listens', async (t) => {
  const driver = await open();
  const prepared = await driver.prepare({ set: [redirect('web', '10.96.0.15')], remove: [] });
  t.ok(existsSync(record));
  t.strictSame(onLoopback(), []);
  await prepared.commit();
  t.strictSame(onLoopback(), ['10.96.0.15/32']);
  await driver.clear();
});

t.test('an address stays as long as one portal wants it', async (t) => {
  const driver = await open();
  const shared = '10.96.0.20';
  await apply(driver, { set: [redirect('a', shared, '10.96.0.21'), redirect('b', shared)], remove: [] });
  await apply(driver, { set: [], remove: ['a'] });
  t.strictSame(onLoopback(), ['10.96.0.20/32']);
  await apply(driver, { set: [redirect('b', '10.96.0.22')], remove: [] });
  t.strictSame(onLoopback(), ['10.96.0.22/32']);
  await apply(driver, { set: [], remove: ['b'] });
  t.strictSame(onLoopback(), []);
  await driver.clear();
});

t.test('an address that the node has is used and never removed', async (t) => {
  sh('ip addr add 192.0.2.1/32 dev lo');
  const driver = await open();
  const change = { set: [redirect('a', '192.0.2.1', Pod.router.IPv4, '192.0.2.2')], remove: [] };
  await apply(driver, change);
  t.strictSame(onLoopback(), ['192.0.2.1/32', '192.0.2.2/32']);
  t.equal(await driver.audit(), 0);
  await driver.clear();
  t.strictSame(onLoopback(), ['192.0.2.1/32']);
  sh('ip addr del 192.0.2.1/32 dev lo');
});

t.test('an address that another program removes is put back', async (t) => {
  const driver = await open();
  await apply(driver, { set: [redirect('a', '10.96.0.30', '10.96.0.31')], remove: [] });
  t.equal(await driver.audit(), 0);
  sh('ip addr del 10.96.0.31/32 dev lo');
  t.equal(await driver.audit(), 1);
  t.strictSame(onLoopback(), ['10.96.0.30/32', '10.96.0.31/32']);
  await driver.clear();
});

t.test('a redirect may have thousands of addresses', async (t) => {
  const driver = await open();
  const many = Array.from({ length: 2000 }, (_, i) => `10.100.${i >> 8}.${i & 255}`);
  await apply(driver, { set: [redirect('many', ...many)], remove: [] });
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
    const prepared = await driver.prepare({ set: [${JSON.stringify(redirect('killed', address))}], remove: [] });
    await prepared.commit();
    process.kill(process.pid, 'SIGKILL');`;
  await once(execFile(process.execPath, ['--input-type=module', '-e', script]), 'exit');
}

t.test('addresses of a killed run are removed or taken over', async (t) => {
  await runAndKill('10.96.0.40');
  t.strictSame(onLoopback(), ['10.96.0.40/32']);
  const driver = await open();
  await apply(driver, { set: [redirect('a', '10.96.0.41')], remove: [] });
  t.strictSame(onLoopback(), ['10.96.0.41/32']);
  await driver.clear();

  await runAndKill('10.96.0.40');
  const heir = await open();
  await apply(heir, { set: [redirect('a', '10.96.0.40')], remove: [] });
  await heir.clear();
  t.strictSame(onLoopback(), [], 'it was ours before and is ours again');

  await runAndKill('10.96.0.40');
  t.strictSame(await clearAll(stateDir, 0, noPrograms), ['1 addresses of the loopback device']);
  t.strictSame(onLoopback(), []);
});

t.test('an address that cannot be added is named; the others work', async (t) => {
  sh('sysctl -qw net.ipv6.conf.lo.disable_ipv6=1');
  const driver = await open();
  t.match(driver.unsupported.get('IPv6'), /disable_ipv6=0/);
  const change = { set: [redirect('six', 'fd00:96::10'), redirect('four', '10.96.0.50')], remove: [] };
  const error = await apply(driver, change).then(
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

t.test('without a record the driver works, and writes the record as soon as it can', async (t) => {
  const small = join(directory, 'small');
  mkdirSync(small);
  sh(`mount -t tmpfs -o size=8k none ${small}`);
  const state = join(small, 'state');
  const full = join(small, 'full');
  for (const [what, prevent, allow] of [
    ['a full disk', () => sh(`dd if=/dev/zero of=${full} bs=4k 2>/dev/null || true`), () => rmSync(full)],
    [
      'a read-only disk',
      () => sh(`mount -o remount,bind,ro ${small}`),
      () => sh(`mount -o remount,bind,rw ${small}`),
    ],
  ] as const) {
    await t.test(what, async (t) => {
      const { log, troubles } = listening();
      (await StateDir.open(state, log)).release();
      prevent();
      const driver = await AddressDriver.open({ log, stateDir: state });
      await apply(driver, { set: [redirect('a', '10.96.0.60', 'fd00:96::60')], remove: [] });
      t.strictSame(onLoopback(), ['10.96.0.60/32', 'fd00:96::60/128']);
      sh('ip addr del 10.96.0.60/32 dev lo');
      t.equal(await driver.audit(), 1, 'repaired');
      t.equal(await driver.audit(), 0);
      t.match(
        troubles,
        [/cannot remember which addresses are ours in --state-dir .*: (ENOSPC|EROFS)/],
        'said once',
      );
      const heir = await AddressDriver.open({ log: pino({ level: 'silent' }), stateDir: state });
      await apply(heir, { set: [redirect('b', '10.96.0.61')], remove: [] });
      t.strictSame(onLoopback(), ['10.96.0.61/32'], 'a successor knows what is ours without a record');
      await driver.audit();
      allow();
      await driver.audit();
      t.match(troubles.slice(1), [/^info: .*addresses\.json can be written again/]);
      t.ok(existsSync(join(state, 'addresses.json')));
      await driver.clear();
      t.strictSame(onLoopback(), []);
    });
  }
  sh(`umount ${small}`);
});

t.test('a record that is damaged, or not ours, is not used', async (t) => {
  const foreign = ['192.0.2.1/32 scope host', '192.0.2.2/32', 'fd00:2::1/128', 'fd00:2::2/128 nodad'];
  for (const address of foreign) sh(`ip addr add ${address} dev lo`);
  const before = onLoopback();
  const bystander = join(directory, 'bystander');
  writeFileSync(bystander, 'precious');
  const list = (...addresses: unknown[]) => writeFileSync(record, JSON.stringify({ addresses }));
  const hostile: Record<string, [make: () => void, says?: RegExp]> = {
    'foreign addresses': [() => list('127.0.0.1', '::1', '192.0.2.1', '192.0.2.2', 'fd00:2::1', 'fd00:2::2')],
    'no JSON': [() => writeFileSync(record, '{"addr'), /JSON/],
    'no object': [() => writeFileSync(record, '["127.0.0.1"]'), /it is not a JSON object/],
    'no list': [() => writeFileSync(record, '{"addresses": {"0": "127.0.0.1"}}'), /addresses is not a list/],
    'no texts': [() => list(1, null, {}), /holds a value that is not an IP address/],
    'no address': [() => list('10.96.0.1; reboot'), /holds a value that is not an IP address/],
    'a link': [() => symlinkSync('/etc/passwd', record), /it is a symbolic link/],
    'a FIFO': [() => sh(`mkfifo ${record}`), /it is a FIFO and not a file/],
    'a directory': [() => mkdirSync(record), /it is a directory and not a file/],
    '32 MB': [
      () => writeFileSync(record, Buffer.alloc(32 << 20, 'x')),
      /it has 32 MiB; at most 16 MiB are allowed/,
    ],
    'a link where the new one is written': [() => symlinkSync(bystander, `${record}.new`)],
    'a FIFO where the new one is written': [() => sh(`mkfifo ${record}.new`)],
  };
  for (const [what, [make, says]] of Object.entries(hostile)) {
    rmSync(stateDir, { recursive: true, force: true });
    mkdirSync(stateDir);
    make();
    const { log, troubles } = listening();
    const driver = await AddressDriver.open({ log, stateDir });
    if (says === undefined) t.same(troubles, [], what);
    else t.match(troubles, [says], what);
    if (says !== undefined) t.ok(troubles[0]!.includes(record), 'names the file');
    await apply(driver, { set: [redirect('a', '10.96.0.70')], remove: [] });
    await driver.clear();
    t.strictSame(onLoopback(), before, what);
    t.equal(readFileSync(bystander, 'utf8'), 'precious', what);
  }
  rmSync(stateDir, { recursive: true });
  mkdirSync(stateDir);
  sh(`mkfifo ${record}`);
  await t.rejects(clearAll(stateDir, 0, noPrograms), {
    message: /addresses\.json cannot be used: it is a FIFO.*ip addr show/,
  });
  t.same(await clearAll(stateDir, 0, noPrograms), []);
  for (const address of foreign) sh(`ip addr del ${address.split(' ')[0]} dev lo`);
});

t.test('if the kernel cannot tell, an address is ours if it is recorded and looks like ours', async (t) => {
  for (const address of ['fd00:96::71', 'fd00:96::72'])
    sh(`ip addr add ${address}/128 dev lo nodad valid_lft forever preferred_lft 0`);
  mkdirSync(stateDir, { recursive: true });
  writeFileSync(record, JSON.stringify({ addresses: ['fd00:96::71'] }));
  const driver = await open();
  t.equal(await driver.audit(), 1);
  t.strictSame(onLoopback(), ['fd00:96::72/128']);
  await driver.clear();
  sh('ip addr del fd00:96::72/128 dev lo');
});

t.test('the loopback device must be up', async (t) => {
  sh('ip link set lo down');
  await t.rejects(open(), { name: 'RedirectError', message: /ip link set lo up/ });
  sh('ip link set lo up');
});

t.test('the driver is chosen by --redirect and by what works on the node', async (t) => {
  const bindAddress = { IPv4: '0.0.0.0', IPv6: '::' };
  const proxyPortRange = { first: 1024, last: 65535 };
  const options: RedirectOptions = { log, stateDir, bindAddress, proxyPortRange, carrier: CARRIER };
  const without = { ...options, run: noPrograms };

  await t.test('auto takes iptables if it works, and clears what the address driver left', async (t) => {
    await runAndKill('10.96.0.80');
    const driver = await createRedirectDriver('auto', options);
    t.equal(driver.name, 'iptables');
    t.strictSame(onLoopback(), []);
    await apply(driver, { set: [redirect('a', '10.96.0.81')], remove: [] });
  });

  await t.test('address clears what the iptables driver left', async (t) => {
    const driver = await createRedirectDriver('address', options);
    t.equal(driver.name, 'address');
    t.notMatch(sh('iptables-nft-save; iptables-legacy-save'), /KUBE-PORTAL/);
  });

  await t.test('auto takes addresses if there is no iptables', async (t) => {
    t.equal((await createRedirectDriver('auto', without)).name, 'address');
  });

  await t.test('iptables is not replaced by addresses', async (t) => {
    await t.rejects(createRedirectDriver('iptables', without), { message: /--redirect=address/ });
  });

  await t.test('none redirects nothing', async (t) => {
    const driver = await createRedirectDriver('none', without);
    await apply(driver, { set: [redirect('a', '10.96.0.90')], remove: [] });
    t.equal(await driver.audit(), 0);
    t.strictSame(onLoopback(), []);
    await driver.clear();
  });
});
