import { fileURLToPath } from 'node:url';
import t from 'tap';
import { Lab } from '../lab/lab.js';

const MODULE = fileURLToPath(new URL('../../lib/sys/routes.js', import.meta.url));

t.setTimeout(0);

t.test(
  'ranges on links and blackhole ranges are found, but not routes through routers or to single hosts',
  async (t) => {
    const { node } = await Lab.forTest(t);
    await node.ip(`
    route add blackhole 10.245.0.0/26
    route add 10.245.1.0/24 via 192.0.2.2
    route add 10.245.2.7 dev bridge
    route add blackhole fd00:245::/64
    route add fd00:245:1::/64 via fd00:2::2
    route add fd00:245:2::7 dev bridge
  `);
    const script = `import { rangesOnLink } from '${MODULE}'; console.log(JSON.stringify(rangesOnLink()));`;
    const ranges = JSON.parse(
      await node.must(process.execPath, ['--input-type=module', '-e', script]),
    ) as string[];
    t.same(
      ranges.filter((range) => !/^(fe80|ff00|::)/.test(range)).sort(),
      [
        '10.244.0.0/16',
        '10.245.0.0/26',
        '192.0.2.0/24',
        'fd00:244::/64',
        'fd00:245::/64',
        'fd00:2::/64',
      ].sort(),
    );
  },
);
