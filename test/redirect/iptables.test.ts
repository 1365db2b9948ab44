import { pino } from 'pino';
import t from 'tap';
import type { Family } from '../../lib/net/address.js';
import type { Protocol } from '../../lib/net/protocol.js';
import { clearAll } from '../../lib/redirect/clear.js';
import { type RunCommand, runCommand } from '../../lib/redirect/command.js';
import type { Redirect, RedirectError } from '../../lib/redirect/driver.js';
import { IptablesDriver } from '../../lib/redirect/iptables.js';
import { item } from '../lab/items.js';
import { notMachineRoot } from '../lab/rights.js';
import { apply } from './apply.js';
import { type Kind, OTHER, only, without } from './backends.js';
import { Pod, sh } from './namespace.js';
import { CARRIER } from './ownflows.js';
import { NameServer, reach, reachFrom } from './reach.js';
import { RELAYED } from './relayed.js';

const log = pino({ level: 'silent' });
const VIP = { IPv4: '10.96.0.10', IPv6: 'fd00:96::10' } as const;
const FAMILIES = ['IPv4', 'IPv6'] as const;
const PROTOCOLS = ['TCP', 'UDP'] as const;
const NODE_ADDRESSES = ['127.0.0.1', '::1', Pod.router.IPv4, Pod.router.IPv6];
const proxyPortRange = { first: 1024, last: 65535 };

/** Flags of strace. With them, netfilter's netlink answers as on a kernel without nf_tables. */
const NO_NF_TABLES = ['--output=/dev/null', '--trace=recvmsg', '--inject=recvmsg:error=EINVAL'];

function open(run: RunCommand, bindAddress = { IPv4: '0.0.0.0', IPv6: '::' }): Promise<IptablesDriver> {
  return IptablesDriver.open({ log, run, bindAddress, proxyPortRange, carrier: CARRIER });
}

function redirect(
  name: string,
  family: Family,
  protocol: Protocol,
  proxyPort: number,
  port: number = 80,
): Redirect {
  const label = `default/${name}:main`;
  const id = `${label}/${protocol}/${family}`;
  return { id, label, protocol, family, vips: [{ address: VIP[family], port }], proxyPort, ...RELAYED };
}

/** One Service port in all four forms. */
function redirects(name: string, proxyPort: number, port?: number): Redirect[] {
  return FAMILIES.flatMap((family) =>
    PROTOCOLS.map((protocol) => redirect(name, family, protocol, proxyPort, port)),
  );
}

function saved(kind: Kind): string {
  return sh(`iptables-${kind}-save; ip6tables-${kind}-save`);
}

const pod = new Pod();
const server = await NameServer.start('web', NODE_ADDRESSES);
t.teardown(() => server.close());
t.setTimeout(0);

async function answers(port = 80): Promise<string[]> {
  const targets = FAMILIES.flatMap((family) =>
    PROTOCOLS.map((protocol) => ({ protocol, address: VIP[family], port })),
  );
  return Promise.all(targets.map(reach));
}
const ALL_WEB = ['web', 'web', 'web', 'web'];

for (const kind of ['nft', 'legacy'] as const) {
  const family = (name: Family) => `${name === 'IPv4' ? 'iptables' : 'ip6tables'}-${kind}`;

  t.test(`${kind}: VIPs are reached from the node and from a pod`, async (t) => {
    const driver = await open(only(kind));
    await apply(driver, { set: redirects('web', server.port), remove: [] });
    for (const name of FAMILIES) {
      for (const protocol of PROTOCOLS) {
        const target = { protocol, address: VIP[name], port: 80 };
        t.equal(await reach(target), 'web', `${name} ${protocol} from the node`);
        t.equal(await reachFrom(pod.namespace, target), 'web', `${name} ${protocol} from a pod`);
      }
    }
    t.equal(await driver.audit(), 0, 'what was programmed is what is wanted');
    await driver.clear();
    t.notMatch(saved(kind), /KUBE-PORTAL/);
  });

  t.test(`${kind}: a change replaces only its own redirects`, async (t) => {
    const other = await NameServer.start('other', NODE_ADDRESSES);
    const driver = await open(only(kind));
    await apply(driver, { set: [...redirects('a', 1, 80), ...redirects('b', server.port, 81)], remove: [] });
    await apply(driver, { set: redirects('a', other.port, 80), remove: [] });
    t.strictSame(await answers(80), ['other', 'other', 'other', 'other']);
    t.strictSame(await answers(81), ALL_WEB);
    await apply(driver, { set: [], remove: redirects('a', 1).map(({ id }) => id) });
    t.notMatch(saved(kind), /default\/a/);
    t.strictSame(await answers(81), ALL_WEB);
    t.equal(await driver.audit(), 0);
    await driver.clear();
    other.close();
  });

  t.test(`${kind}: rules that another program breaks are repaired`, async (t) => {
    const driver = await open(only(kind));
    const many = Array.from({ length: 40 }, (_, i) => redirects(`s${i}`, server.port, 80 + i)).flat();
    await apply(driver, { set: many, remove: [] });
    t.equal(await driver.audit(), 0);
    const good = saved(kind).replace(/^#.*|\[\d+:\d+\]/gm, '');
    const damages: Record<string, (tables: string) => string> = {
      'everything flushed': (tables) =>
        `${tables} -t nat -F; ${tables} -t nat -X; ${tables} -F; ${tables} -X`,
      'the jump removed': (tables) => `${tables} -t nat -D PREROUTING -j KUBE-PORTALS-CONTAINER`,
      'the jump twice': (tables) => `${tables} -t nat -A OUTPUT -j KUBE-PORTALS-HOST`,
      'a rule added': (tables) => `${tables} -t nat -A KUBE-PORTALS-HOST -p tcp -j ACCEPT`,
      'one chain emptied': (tables) => `${tables} -t nat -F KUBE-PORTALS-HOST`,
      'a chain of our kind': (tables) =>
        `${tables} -t nat -N KUBE-PORTAL-OLD; ${tables} -t nat -A OUTPUT -j KUBE-PORTAL-OLD`,
      'the guard flushed': (tables) => `${tables} -F KUBE-PORTALS-GUARD`,
    };
    for (const [name, damage] of Object.entries(damages)) {
      for (const which of FAMILIES) sh(damage(family(which)));
      t.ok((await driver.audit()) >= 2, name);
      t.equal(saved(kind).replace(/^#.*|\[\d+:\d+\]/gm, ''), good, `${name}: as before`);
      t.equal(await driver.audit(), 0, `${name}: once`);
    }
    t.strictSame(await answers(119), ALL_WEB);
    await driver.clear();
  });

  t.test(`${kind}: a change works after another program flushed the table`, async (t) => {
    const driver = await open(only(kind));
    await apply(driver, { set: [...redirects('a', server.port, 80), ...redirects('b', 1, 81)], remove: [] });
    for (const which of FAMILIES) sh(`${family(which)} -t nat -F; ${family(which)} -t nat -X`);
    await apply(driver, { set: redirects('b', server.port, 81), remove: [] });
    await driver.audit();
    t.strictSame(await answers(80), ALL_WEB);
    t.strictSame(await answers(81), ALL_WEB);
    await driver.clear();
  });

  t.test(`${kind}: our jump comes before the rules of others, and these stay`, async (t) => {
    sh(`iptables-${kind} -t nat -A OUTPUT -d ${VIP.IPv4} -p tcp -j REDIRECT --to-ports 1`);
    const driver = await open(only(kind));
    await apply(driver, { set: redirects('web', server.port), remove: [] });
    t.strictSame(await answers(), ALL_WEB);
    sh(`iptables-${kind} -t nat -I OUTPUT -d ${VIP.IPv4} -p tcp -j REDIRECT --to-ports 1`);
    t.equal(await driver.audit(), 1);
    t.strictSame(await answers(), ALL_WEB);
    await driver.clear();
    const rules = saved(kind).match(/^-A .*/gm);
    t.strictSame(rules, Array(2).fill(`-A OUTPUT -d ${VIP.IPv4}/32 -p tcp -j REDIRECT --to-ports 1`));
    sh(`iptables-${kind} -t nat -F OUTPUT`);
  });

  t.test(`${kind}: rules of a killed run are taken over or cleared`, async (t) => {
    const killed = await open(only(kind));
    await apply(killed, { set: [...redirects('a', 1, 80), ...redirects('gone', 2, 81)], remove: [] });
    const next = await open(only(kind));
    await apply(next, { set: redirects('a', server.port, 80), remove: [] });
    t.notMatch(saved(kind), /default\/gone/);
    t.strictSame(await answers(), ALL_WEB);
    t.match(await clearAll('/nonexistent', 0), [/^\d+ iptables chains/]);
    t.notMatch(saved(kind), /KUBE-PORTAL/);
    t.strictSame(await clearAll('/nonexistent', 0), []);
  });

  t.test(`${kind}: rules of an earlier run in the other back end are removed`, async (t) => {
    const before = await open(only(OTHER[kind]));
    await apply(before, { set: redirects('a', 1), remove: [] });
    sh(`iptables-${kind} -t mangle -N KUBE-IPTABLES-HINT`);
    const driver = await open(runCommand);
    t.notMatch(saved(OTHER[kind]), /KUBE-PORTAL/);
    await apply(driver, { set: redirects('a', server.port), remove: [] });
    t.match(saved(kind), /KUBE-PORTAL/, 'the back end with the mark of the kubelet is chosen');
    t.strictSame(await answers(), ALL_WEB);
    sh(`iptables-${kind} -t mangle -X KUBE-IPTABLES-HINT`);
    await apply(before, { set: redirects('b', 1), remove: [] });
    await driver.clear();
    t.notMatch(saved(OTHER[kind]), /KUBE-PORTAL/, 'clear looks into both');
  });

  t.test(`${kind}: the back end with rules of others is chosen`, async (t) => {
    sh(`iptables-${kind} -A FORWARD -j ACCEPT`);
    const driver = await open(runCommand);
    await apply(driver, { set: redirects('a', server.port), remove: [] });
    t.match(saved(kind), /KUBE-PORTAL/);
    await driver.clear();
    sh(`iptables-${kind} -D FORWARD -j ACCEPT`);
  });

  t.test(`${kind}: proxy ports refuse datagrams that were not redirected`, async (t) => {
    const driver = await open(only(kind));
    await apply(driver, { set: redirects('web', server.port), remove: [] });
    for (const address of [Pod.router.IPv4, Pod.router.IPv6]) {
      const target = { protocol: 'UDP', address, port: server.port } as const;
      t.equal(await reach(target), 'ECONNREFUSED', `${address} from the node`);
      t.equal(await reachFrom(pod.namespace, target), 'ECONNREFUSED', `${address} from a pod`);
    }
    await driver.clear();
    t.equal(await reach({ protocol: 'UDP', address: Pod.router.IPv4, port: server.port }), 'web');
  });

  if (kind === 'nft') {
    t.test('a removal by another program is noticed at once, our own changes are not', async (t) => {
      const driver = await open(only(kind));
      await apply(driver, { set: redirects('web', server.port), remove: [] });
      t.equal(driver.wasDisturbed(), false, 'a change of its own');
      await apply(driver, { set: [], remove: redirects('web', 1).map(({ id }) => id) });
      await apply(driver, { set: redirects('web', server.port), remove: [] });
      t.equal(driver.wasDisturbed(), false, 'chains that it took away itself');
      sh('iptables-nft -t nat -N MINE; iptables-nft -t nat -A MINE -j RETURN; iptables-nft -t nat -F MINE');
      sh('iptables-nft -t nat -X MINE');
      t.equal(driver.wasDisturbed(), false, 'chains of others');
      for (const damage of ['-t nat -F', '-t nat -F PREROUTING', '-F INPUT', '-t nat -F KUBE-PORTALS-HOST']) {
        for (const name of FAMILIES) {
          sh(`${family(name)} ${damage}`);
          t.equal(driver.wasDisturbed(), true, `${family(name)} ${damage}`);
          t.not(await driver.audit(), 0);
          t.equal(driver.wasDisturbed(), false, 'its own repair');
        }
      }
      await driver.clear();
    });
  }

  for (const word of ['comment', 'conntrack', 'REJECT']) {
    t.test(`${kind}: a kernel without ${word} is enough`, async (t) => {
      const driver = await open(only(kind, without(word)));
      await apply(driver, { set: redirects('web', server.port), remove: [] });
      t.notMatch(saved(kind), word);
      const troubled = word === 'conntrack' ? FAMILIES : [];
      t.match(
        driver.problems,
        troubled.map((family) => new RegExp(`xt_conntrack\\) for ${family}: .*host firewall`)),
      );
      t.equal(driver.problems.length, troubled.length);
      t.strictSame(await answers(), ALL_WEB);
      t.equal(await driver.audit(), 0);
      await driver.clear();
    });
  }

  t.test(`${kind}: a listener on one address gets its traffic`, async (t) => {
    const driver = await open(only(kind), Pod.router);
    await apply(driver, { set: redirects('web', server.port), remove: [] });
    t.match(saved(kind), `-j DNAT --to-destination [${Pod.router.IPv6}]:${server.port}`);
    t.strictSame(await answers(), ALL_WEB);
    t.equal(
      await reachFrom(pod.namespace, { protocol: 'TCP', address: VIP.IPv4, port: 80 }),
      'web',
      'from a pod',
    );
    t.equal(await driver.audit(), 0);
    await driver.clear();
  });

  t.test(`${kind}: a failed change is reported, and repaired later`, async (t) => {
    let broken = false;
    const driver = await open(
      only(kind, async (program, args, input) =>
        broken && program.includes('restore')
          ? { code: 4, stdout: '', stderr: `${program}: line 4 failed: no luck\n` }
          : runCommand(program, args, input),
      ),
    );
    broken = true;
    const change = { set: redirects('web', server.port), remove: [] };
    await t.rejects(apply(driver, change), {
      name: 'RedirectError',
      message: /iptables-\w+-restore failed: .*no luck, at "/,
    });
    broken = false;
    t.ok((await driver.audit()) > 0);
    t.strictSame(await answers(), ALL_WEB);
    await driver.clear();
  });

  const skip = kind === 'nft' && notMachineRoot;
  t.test(`${kind}: 2,000 redirects and one more`, { skip }, async (t) => {
    const driver = await open(only(kind));
    const many = Array.from({ length: 2000 }, (_, i) =>
      redirect(`s${i}`, 'IPv4', 'TCP', server.port, 1000 + i),
    );
    await apply(driver, { set: many, remove: [] });
    await apply(driver, { set: redirects('web', server.port), remove: [item(many, 7).id] });
    t.strictSame(await answers(), ALL_WEB);
    t.equal(await reach({ protocol: 'TCP', address: VIP.IPv4, port: 2999 }), 'web');
    t.notMatch(saved(kind), /default\/s7:/);
    t.equal(await driver.audit(), 0);
    await driver.clear();
  });
}

t.test('rules are not touched before their portals listen', async (t) => {
  const steps: string[] = [];
  const run: RunCommand = (program, args, input) => {
    steps.push(program);
    return runCommand(program, args, input);
  };
  const driver = await open(run);
  steps.length = 0;
  const prepared = await driver.prepare({ set: redirects('web', server.port), remove: [] });
  t.same(steps, []);
  await prepared.commit();
  t.ok(steps.some((step) => step.endsWith('-restore')));
  await driver.clear();
});

t.test('a VIP that is not an address is refused, all others work', async (t) => {
  const driver = await open(runCommand);
  const bad = { ...redirect('bad', 'IPv4', 'TCP', 1), vips: [{ address: '10.96.0.999', port: 80 }] };
  const change = { set: [bad, ...redirects('web', server.port)], remove: [] };
  const error = await apply(driver, change).then(
    () => null,
    (error: RedirectError) => error,
  );
  t.match(error, { name: 'RedirectError', message: /default\/bad:main: .*10\.96\.0\.999/ });
  t.ok(error?.concerns(bad.id));
  t.notOk(change.set.slice(1).some(({ id }) => error?.concerns(id)));
  t.strictSame(await answers(), ALL_WEB);
  await driver.clear();
});

t.test('while the rules of one family are refused, the other family is served', async (t) => {
  let broken = false;
  const driver = await open(async (program, args, input) =>
    broken && program.startsWith('ip6')
      ? { code: 4, stdout: '', stderr: 'Another app is currently holding the xtables lock' }
      : runCommand(program, args, input),
  );
  broken = true;
  const set = redirects('web', server.port);
  for (const attempt of [() => apply(driver, { set, remove: [] }), () => driver.audit()]) {
    const error = await attempt().then(
      () => null,
      (error: RedirectError) => error,
    );
    t.match(error, { name: 'RedirectError', message: /ip6tables.*xtables lock/ });
    for (const { id, family } of set) t.equal(error?.concerns(id), family === 'IPv6', id);
  }
  t.equal(await reach({ protocol: 'TCP', address: VIP.IPv4, port: 80 }), 'web');
  broken = false;
  t.ok((await driver.audit()) > 0);
  t.strictSame(await answers(), ALL_WEB);
  await driver.clear();
});

t.test('both families are tried at once', async (t) => {
  let begun!: () => void;
  const ipv6HasBegun = new Promise<void>((resolve) => {
    begun = resolve;
  });
  const driver = await open(
    only('nft', async (program, args, input) => {
      if (program === 'ip6tables-nft-restore') begun();
      if (program === 'iptables-nft-restore') await ipv6HasBegun;
      return runCommand(program, args, input);
    }),
  );
  t.same([...driver.unsupported], []);
  await driver.clear();
});

t.test('a lock that another program holds does not change the result of the probe', async (t) => {
  const held = { code: 4, stdout: '', stderr: 'Another app is currently holding the xtables lock' };
  const locked = { iptables: 3, ip6tables: 3 };
  const driver = await open(async (program, args, input) => {
    const family = program.startsWith('ip6') ? 'ip6tables' : 'iptables';
    if (input !== '' && input !== undefined && locked[family]-- > 0) return held;
    return only('legacy')(program, args, input);
  });
  t.strictSame([...driver.unsupported.keys()], []);
  t.strictSame(driver.problems, []);
  await apply(driver, { set: redirects('web', server.port), remove: [] });
  t.match(saved('legacy'), /--comment "default\/web:main/);
  t.strictSame(await answers(), ALL_WEB);
  await driver.clear();
});

t.test('a machine that stands still does not change the result of the probe', async (t) => {
  const driver = await open(async (program, args, input) => {
    const result = await runCommand(program, args, input);
    setImmediate(() => {
      if (input?.includes('-I OUTPUT')) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1500);
    });
    return result;
  });
  t.strictSame([...driver.unsupported.keys()], []);
  await driver.clear();
});

t.test('flows of an earlier probe do not change the result of the probe', async (t) => {
  const range = '/proc/sys/net/ipv4/ip_local_port_range';
  const before = sh(`cat ${range}`);
  sh(`echo 40000 40063 > ${range}`);
  for (let start = 0; start < 30; start++) {
    const driver = await open(only('legacy'));
    t.strictSame([...driver.unsupported.keys()], [], `start ${start}`);
  }
  sh(`echo ${before.trim()} > ${range}`);
});

t.test('without ip6tables IPv6 is not supported and the IPv4 VIPs work', async (t) => {
  const driver = await open(async (program, args, input) =>
    program.startsWith('ip6') ? null : runCommand(program, args, input),
  );
  t.match(driver.unsupported.get('IPv6'), /ip6tables.* not installed.*--redirect=auto/);
  const set = redirects('web', server.port).filter(({ family }) => family === 'IPv4');
  await apply(driver, { set, remove: [] });
  t.equal(await reach({ protocol: 'TCP', address: VIP.IPv4, port: 80 }), 'web');
  t.equal(await driver.audit(), 0);
  await driver.clear();
});

t.test('a kernel with nfnetlink but without nf_tables has nothing to clear, without a warning', async (t) => {
  const run: RunCommand = (program, args, input) =>
    program.includes('-nft-')
      ? runCommand('strace', [...NO_NF_TABLES, program, ...args], input)
      : runCommand(program, args, input);
  t.match(await run('iptables-nft-save', []), { code: 4, stderr: /Could not fetch rule set generation id/ });
  const warnings: string[] = [];
  const log = pino({ level: 'warn' }, { write: (line: string) => warnings.push(line) });
  const bindAddress = { IPv4: '0.0.0.0', IPv6: '::' };
  const driver = await IptablesDriver.open({ log, run, bindAddress, proxyPortRange, carrier: CARRIER });
  await apply(driver, { set: redirects('web', server.port), remove: [] });
  t.strictSame(await answers(), ALL_WEB);
  await driver.clear();
  t.strictSame(await clearAll('/nonexistent', 0, run), []);
  t.strictSame(warnings, []);
});

t.test('a back end whose rule loads but redirects nothing is not used', async (t) => {
  const deaf: RunCommand = (program, args, input) =>
    runCommand(program, args, input?.replaceAll('--dport 9 ', '--dport 10 '));
  await t.rejects(open(deaf), { name: 'RedirectError', message: /redirects nothing/ });
  t.notMatch(saved('nft') + saved('legacy'), /KUBE-PORTAL/);
});

t.test('if iptables is not installed, the message says what to do', async (t) => {
  const path = process.env.PATH;
  process.env.PATH = '/nonexistent';
  t.teardown(() => {
    process.env.PATH = path;
  });
  await t.rejects(open(runCommand), {
    name: 'RedirectError',
    message: /apt-get install iptables.*--redirect=address/,
  });
  t.strictSame(await clearAll('/nonexistent', 0), []);
});
