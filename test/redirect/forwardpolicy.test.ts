import pino from 'pino';
import t from 'tap';
import { runCommand } from '../../lib/redirect/command.js';
import { IptablesDriver } from '../../lib/redirect/iptables.js';
import { sh } from './namespace.js';
import { CARRIER } from './ownflows.js';

t.setTimeout(0);

function openDriver() {
  return IptablesDriver.open({
    log: pino({ level: 'silent' }),
    bindAddress: { IPv4: '0.0.0.0', IPv6: '::' },
    proxyPortRange: { first: 20_000, last: 29_999 },
    carrier: CARRIER,
    run: runCommand,
  });
}

for (const backend of ['nft', 'legacy']) {
  t.test(
    `the driver knows the policies of FORWARD at its start, and after each audit: ${backend}`,
    async (t) => {
      sh(`iptables-${backend} -P FORWARD DROP`);
      const driver = await openDriver();
      t.teardown(() => driver.clear());
      t.same(driver.dropsForwarded, { IPv4: true, IPv6: false });
      sh(`iptables-${backend} -P FORWARD ACCEPT; iptables-${backend} -A FORWARD -j DROP`);
      await driver.audit();
      t.same(driver.dropsForwarded, { IPv4: false, IPv6: false }, 'a rule is no policy');
      sh(`iptables-${backend} -D FORWARD -j DROP`);
    },
  );
}
