import '../redirect/namespace.js';
import pino from 'pino';
import t from 'tap';
import { forwardingObstacle, readForwarding } from '../../lib/controlplane/forwarding.js';
import { ForwardingWatch } from '../../lib/controlplane/forwardingwatch.js';
import type { Forwarding } from '../../lib/dataplane/shared/carrier.js';
import type { Family } from '../../lib/net/address.js';
import type { CarrierMode } from '../../lib/portal/carrier.js';
import { sh } from '../redirect/namespace.js';

/** Sets whether this namespace forwards. */
function forward(family: Family, on: boolean): void {
  const setting = family === 'IPv4' ? 'net.ipv4.ip_forward' : 'net.ipv6.conf.all.forwarding';
  sh(`sysctl -qw ${setting}=${Number(on)}`);
}

/** A watch, with what it told the workers, the log and the listeners of its problems. */
function watched() {
  const told: Forwarding[] = [];
  const lines: string[] = [];
  const emitted: string[] = [];
  const drops = { IPv4: false, IPv6: false };
  const log = pino({ level: 'info' }, { write: (line: string) => lines.push(JSON.parse(line).msg) });
  const watch = new ForwardingWatch({
    driver: { dropsForwarded: drops },
    dataplane: {
      setForwarding: async (forwarding) => {
        told.push(forwarding);
      },
    },
    log,
  });
  watch.on('problem', (problem) => emitted.push(problem));
  const concern = (family: Family, carrier: 'kernel' | 'relay', mode: CarrierMode = 'kernel') =>
    watch.concern([{ carrier, portal: { family }, context: { carriers: { modeOf: () => mode } } } as never]);
  return { watch, told, lines, emitted, drops, concern };
}

t.test('the state of a family is read from the settings of the namespace and the policy', async (t) => {
  forward('IPv4', true);
  forward('IPv6', false);
  t.match(
    readForwarding(() => false),
    { IPv4: 'forwards', IPv6: 'off' },
  );
  t.match(
    readForwarding((family) => family === 'IPv4'),
    { IPv4: 'doubtful', IPv6: 'off' },
  );
  forward('IPv4', false);
  forward('IPv6', true);
  t.match(
    readForwarding(() => true),
    { IPv4: 'off', IPv6: 'doubtful' },
  );
});

t.test('bridged packets pass rules only where the kernel is told so', async (t) => {
  const { bridges } = readForwarding(() => false);
  const setting = (name: string) => sh(`sysctl -n net.bridge.${name} 2>/dev/null || echo 0`).trim() === '1';
  t.same(bridges, { IPv4: setting('bridge-nf-call-iptables'), IPv6: setting('bridge-nf-call-ip6tables') });
});

t.test('a problem names the setting and the way out', async (t) => {
  t.equal(forwardingObstacle('IPv4', 'forwards'), null);
  t.match(forwardingObstacle('IPv4', 'off'), /sysctl -w net\.ipv4\.ip_forward=1$/);
  t.match(forwardingObstacle('IPv6', 'off'), /sysctl -w net\.ipv6\.conf\.all\.forwarding=1$/);
  t.match(forwardingObstacle('IPv6', 'doubtful'), /ip6tables -P FORWARD ACCEPT$/);
});

t.test('workers are told at the begin and at each change, and not before', async (t) => {
  forward('IPv4', true);
  const { watch, told, drops } = watched();
  await watch.check();
  t.same(told, [], 'nothing is carried yet');
  await watch.begin();
  await watch.check();
  t.equal(told.length, 1);
  drops.IPv4 = true;
  await watch.check();
  await watch.check();
  forward('IPv4', false);
  await watch.check();
  t.same(
    told.map(({ IPv4 }) => IPv4),
    ['forwards', 'doubtful', 'off'],
  );
});

t.test('people learn of a family once the kernel carries it, once for each change', async (t) => {
  forward('IPv4', false);
  forward('IPv6', false);
  const { watch, lines, emitted, concern } = watched();
  await watch.begin();
  concern('IPv6', 'relay');
  t.same([...lines, ...watch.problems], []);
  concern('IPv4', 'kernel');
  concern('IPv4', 'kernel');
  t.match(lines, [/does not forward packets of IPv4/]);
  t.same(emitted, lines);
  t.same(watch.problems, lines);
  forward('IPv4', true);
  await watch.check();
  t.equal(lines.at(-1), 'this node forwards packets again');
  t.same(watch.problems, []);
  t.equal(emitted.length, 1);
  forward('IPv4', false);
  await watch.check();
  t.equal(emitted.length, 2, 'it is said again when it happens again');
});

t.test(
  'where the kernel carries only what it can, this is no problem, and the log says it once',
  async (t) => {
    forward('IPv4', false);
    const { watch, lines, emitted, concern } = watched();
    await watch.begin();
    concern('IPv4', 'kernel', 'auto');
    concern('IPv4', 'kernel', 'auto');
    t.match(lines, [/does not forward packets of IPv4/]);
    t.same(watch.limits, lines);
    t.same([...watch.problems, ...emitted], []);
    concern('IPv4', 'kernel');
    t.same(watch.problems, emitted, 'it is one for a portal that the kernel shall carry');
    t.equal(emitted.length, 1);
    t.same(watch.limits, []);
  },
);
