import { setImmediate as turn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import t from 'tap';
import { Memory } from '../../lib/sys/memory.js';
import { SendHeaders } from '../../lib/sys/sendheaders.js';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** A block to which only the caller has a reference. */
function lend(give: (block: Memory) => void): WeakRef<Memory> {
  const block = new Memory(1 << 16);
  give(block);
  return new WeakRef(block);
}

/**
 * Whether the target was collected. A weak reference keeps it until the end of the turn that made or read the
 * reference.
 */
async function isGone(block: WeakRef<Memory>): Promise<boolean> {
  await turn();
  collectGarbage();
  return block.deref() === undefined;
}

t.test('a block lives as long as a block that points to it', async (t) => {
  const owner = new Memory(16);
  const kept = lend((block) => owner.setPointer(0, block, 8));
  const free = lend(() => {});
  t.ok(await isGone(free));
  t.notOk(await isGone(kept));
  t.equal(owner.words[0], ((kept.deref()?.address ?? 0) + 8) | 0);
});

t.test('a block that is to be sent lives until another block takes its place', async (t) => {
  const headers = new SendHeaders(1);
  const payload = lend((block) => headers.setPayload(0, block, 0, 8));
  const name = lend((block) => headers.setDestination(block, 0, 16, null, 0, 0));
  t.notOk(await isGone(payload));
  t.notOk(await isGone(name));
  headers.setPayload(0, new Memory(8), 0, 8);
  headers.setDestination(null, 0, 0, null, 0, 0);
  t.ok(await isGone(payload));
  t.ok(await isGone(name));
});
