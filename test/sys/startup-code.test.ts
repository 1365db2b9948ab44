import { readFileSync, realpathSync } from 'node:fs';
import t from 'tap';
import { forgetStartupCode } from '../../lib/sys/startup-code.js';

/** Resident memory of mapped files, kB (proc(5), status). */
function residentFiles(): number {
  return Number(/^RssFile:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]);
}

t.test('code is unmapped, and is mapped again when it runs', async (t) => {
  const before = residentFiles();
  forgetStartupCode();
  t.ok(residentFiles() < before);
  t.equal(JSON.parse(JSON.stringify({ still: 'running' })).still, 'running');
});

t.test('constants are unmapped too, and pages that the linker changed stay', async (t) => {
  const runtime = realpathSync(process.execPath);
  const before = mappingsOf(runtime);
  forgetStartupCode();
  const after = mappingsOf(runtime);
  const sum = (mappings: readonly Mapping[], field: 'resident' | 'anonymous') =>
    mappings.reduce((total, mapping) => total + mapping[field], 0);
  t.ok(sum(after, 'resident') < sum(before, 'resident') / 2);
  t.ok(sum(before, 'anonymous') > 0);
  t.equal(sum(after, 'anonymous'), sum(before, 'anonymous'));
});

/** Sizes in kB. */
interface Mapping {
  readonly resident: number;
  readonly anonymous: number;
}

/** Mappings of a file that cannot be written to. */
function mappingsOf(file: string): Mapping[] {
  const entries = readFileSync('/proc/self/smaps', 'latin1').split(/^(?=[0-9a-f]+-)/m);
  return entries
    .filter((entry) => entry.includes(` ${file}\n`) && / r--p /.test(entry))
    .map((entry) => ({
      resident: Number(/^Rss: +(\d+)/m.exec(entry)?.[1]),
      anonymous: Number(/^Anonymous: +(\d+)/m.exec(entry)?.[1]),
    }));
}
