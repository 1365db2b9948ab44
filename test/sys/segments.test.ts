import { fileURLToPath } from 'node:url';
import t from 'tap';
import { Lab } from '../lab/lab.js';

const PROGRAM = fileURLToPath(new URL('segments-program.js', import.meta.url));

t.setTimeout(0);

t.test('runs are still segmented on other paths after one path refused it', async (t) => {
  const lab = await Lab.forTest(t, { pods: ['narrow', 'wide'] });
  const [narrow, wide] = [lab.pod('narrow'), lab.pod('wide')];
  await lab.node.ip(`route add ${narrow.address4} dev bridge mtu 1000`);
  const addresses = [wide.address4, narrow.address4, wide.address4];
  const output = await lab.node.must(process.execPath, [PROGRAM, ...addresses]);
  t.same(output.trim().split('\n'), ['sent 4', 'refused 4', 'sent 4']);
});
