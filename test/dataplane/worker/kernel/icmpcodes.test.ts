import t from 'tap';
import { errnoOfIcmp } from '../../../../lib/dataplane/worker/kernel/icmpcodes.js';
import { EACCES, ECONNREFUSED, EHOSTUNREACH, ENETUNREACH } from '../../../../lib/sys/errno.js';

t.test('unreachable hosts, closed ports and firewalls are told apart', async (t) => {
  t.equal(errnoOfIcmp(false, 3, 0), ENETUNREACH);
  t.equal(errnoOfIcmp(false, 3, 1), EHOSTUNREACH);
  t.equal(errnoOfIcmp(false, 3, 3), ECONNREFUSED);
  for (const code of [9, 10, 13]) t.equal(errnoOfIcmp(false, 3, code), EACCES, `ICMP ${code}`);
  t.equal(errnoOfIcmp(true, 1, 0), ENETUNREACH);
  t.equal(errnoOfIcmp(true, 1, 3), EHOSTUNREACH);
  t.equal(errnoOfIcmp(true, 1, 4), ECONNREFUSED);
  for (const code of [1, 5, 6]) t.equal(errnoOfIcmp(true, 1, code), EACCES, `ICMPv6 ${code}`);
});

t.test('other messages do not say that an endpoint is not there', async (t) => {
  t.equal(errnoOfIcmp(false, 3, 4), null, 'too long');
  t.equal(errnoOfIcmp(true, 2, 0), null, 'too long, IPv6');
  t.equal(errnoOfIcmp(false, 11, 0), null, 'time exceeded');
  t.equal(errnoOfIcmp(false, 3, 99), null, 'unknown');
  t.equal(errnoOfIcmp(true, 1, 99), null, 'unknown, IPv6');
});
