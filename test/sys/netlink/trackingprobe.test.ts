import '../../redirect/namespace.js';
import t from 'tap';
import { FAMILIES } from '../../../lib/net/address.js';
import { ConntrackSocket } from '../../../lib/sys/netlink/conntrack.js';
import { atOnce } from '../../../lib/sys/netlink/steps.js';
import { probeTracking } from '../../../lib/sys/netlink/trackingprobe.js';
import { sh } from '../../redirect/namespace.js';

sh('iptables -t nat -A PREROUTING -j ACCEPT; ip6tables -t nat -A PREROUTING -j ACCEPT');

t.test('the kernel of this machine takes flows, and the probe leaves none behind', async (t) => {
  for (const family of FAMILIES) {
    for (const protocol of ['TCP', 'UDP'] as const) {
      t.equal(probeTracking(family, protocol), null, `${family} ${protocol}`);
      t.equal(probeTracking(family, protocol), null, 'again');
    }
  }
  const conntrack = ConntrackSocket.open();
  t.teardown(() => conntrack.close());
  t.same(
    FAMILIES.flatMap((family) => atOnce(conntrack.list(family, {}))),
    [],
  );
});

t.test('a process without the right to change it is told what it needs', async (t) => {
  const program = `
    import { probeTracking } from ${JSON.stringify(new URL('../../../lib/sys/netlink/trackingprobe.js', import.meta.url))};
    console.log(probeTracking('IPv4', 'TCP'));
  `;
  const path = `${t.testdir({ 'probe.mjs': program })}/probe.mjs`;
  const output = sh(`setpriv --bounding-set -net_admin --inh-caps -net_admin ${process.execPath} ${path}`);
  t.match(output, /run it as root, in a container with the capability NET_ADMIN/);
});
