import t from 'tap';
import { type SinkAnswer, startBackend } from '../lab/backend.js';
import { bothCarriers } from '../lab/carriers.js';
import { transfer } from '../lab/client.js';
import { patternDigest } from '../lab/pattern.js';
import { Relay, VIP, VIP6 } from './relay.js';

const MEGABYTE = 1 << 20;
const GIGABYTE = 1 << 30;

t.setTimeout(0);

bothCarriers('a gigabyte passes slow readers in both directions without more memory', async (t, carrier) => {
  const relay = await Relay.forTest(t, { tcp: [1, 2], flags: [carrier] });
  const { kubePortal, client, server } = relay;
  await startBackend(server, { tcp: { 1: 'sink', 2: 'source' }, sinkRestMs: 2 });
  const upload = (bytes: number) => transfer(client, { address: VIP, port: 1, direction: 'upload', bytes });
  const download = (bytes: number) =>
    transfer(client, { address: VIP6, port: 2, direction: 'download', bytes, restMs: 2 });

  await upload(64 * MEGABYTE);
  await download(64 * MEGABYTE);
  const before = kubePortal.rss();
  const descriptors = kubePortal.program.descriptors();
  let most = before;
  const watch = setInterval(() => {
    most = Math.max(most, kubePortal.rss());
  }, 100);
  const sha256 = patternDigest(GIGABYTE);
  const up = await upload(GIGABYTE);
  t.same(JSON.parse(up.text) as SinkAnswer, { name: 'server', bytes: GIGABYTE, sha256 }, 'upload');
  t.match(await download(GIGABYTE), { bytes: GIGABYTE, sha256, outcome: 'end' }, 'download');
  clearInterval(watch);
  t.ok(most - before < 16 * MEGABYTE, `memory grew by ${((most - before) / MEGABYTE).toFixed(1)} MiB`);
  await relay.idle();
  const kept = kubePortal.program.descriptors() - descriptors;
  t.ok(kept <= 16, `${kept} more descriptors stayed open: no more than a few pipes for reuse`);
});
