import { readFileSync } from 'node:fs';
import t from 'tap';
import { forgetStartupCode } from '../../lib/sys/startup-code.js';

/** Resident memory of mapped files, kB (proc(5), status). */
function residentFiles(): number {
  return Number(/^RssFile:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]);
}

t.test('code is unmapped, and comes back where it runs', async (t) => {
  const before = residentFiles();
  forgetStartupCode();
  t.ok(residentFiles() < before);
  t.equal(JSON.parse(JSON.stringify({ still: 'running' })).still, 'running');
});
