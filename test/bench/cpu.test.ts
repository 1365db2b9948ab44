import t from 'tap';
import { type ForeignUse, foreignSeconds, readForeignUse } from '../../bench/cpu.js';
import type { ProcessTimes } from '../../bench/processes.js';

const use = (processes: Readonly<Record<number, ProcessTimes>>, stolen = 0): ForeignUse => ({
  processes: new Map(Object.entries(processes).map(([pid, times]) => [Number(pid), times])),
  stolen,
});
const times = (own: number, ofChildren = 0, parent = 1): ProcessTimes => ({ parent, own, ofChildren });

t.test('what processes used since then counts, and what the hypervisor gave to others', async (t) => {
  const before = use({ 1: times(5), 10: times(2, 1) }, 3);
  const after = use({ 1: times(6), 10: times(2.5, 1), 11: times(0.25) }, 5);
  t.equal(foreignSeconds(before, after), 1 + 0.5 + 0.25 + 2);
});

t.test('a process that ended leaves its time to its parent: only its last part is new', async (t) => {
  const before = use({ 1: times(0), 10: times(1), 11: times(20, 10, 10) });
  const after = use({ 1: times(0), 10: times(1, 30.5) });
  t.equal(foreignSeconds(before, after), 0.5);
});

t.test('so do a process and its parent that ended both', async (t) => {
  const before = use({ 1: times(0), 10: times(4), 11: times(20, 0, 10) });
  t.equal(foreignSeconds(before, use({ 1: times(0, 25) })), 1);
});

t.test('a process that ended with a parent that does not wait hides nothing of others', async (t) => {
  const before = use({ 1: times(0), 10: times(100), 12: times(1) });
  t.equal(foreignSeconds(before, use({ 1: times(0), 12: times(1.5) })), 0.5);
});

t.test('the bench itself and the kernel are not foreign', async (t) => {
  const { processes } = readForeignUse();
  t.notOk(processes.has(process.pid));
  t.notOk(processes.has(2));
});
