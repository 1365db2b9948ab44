import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { oldKernel } from '../lab/old-kernel.js';

const PROGRAM = fileURLToPath(new URL('accept-program.js', import.meta.url));

function acceptWith(env: Readonly<Record<string, string>>): string {
  return execFileSync(process.execPath, [PROGRAM], { env: { ...process.env, ...env }, encoding: 'utf8' });
}

t.setTimeout(0);

t.test('connections are accepted with accept4 and without', async (t) => {
  t.equal(acceptWith({}), 'accepted\n');
  t.equal(acceptWith(oldKernel(t, 'accept4')), 'accepted\n');
});

t.test('a connection is closed if its socket cannot be made non-blocking', async (t) => {
  t.equal(acceptWith(oldKernel(t, 'accept4', 'F_SETFL')), 'EPERM, client: 0\n');
});
