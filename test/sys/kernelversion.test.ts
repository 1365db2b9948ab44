import t from 'tap';
import { isKernelAtLeast } from '../../lib/sys/kernelversion.js';

t.test('releases of kernels as distributions write them', async (t) => {
  for (const release of ['5.7.0', '5.10.0-30-amd64', '6.1.21-v8+', '6.18.44', '5.15.0-1051-raspi', '10.0']) {
    t.ok(isKernelAtLeast(5, 7, release), release);
  }
  for (const release of [
    '5.6.19',
    '4.19.0-27-amd64',
    '5.4.0-190-generic',
    '4.18.0-553.el8.x86_64',
    '5-rc1',
    '',
  ]) {
    t.notOk(isKernelAtLeast(5, 7, release), release);
  }
  t.ok(isKernelAtLeast(3, 0), 'Node.js does not run on an older one');
});
