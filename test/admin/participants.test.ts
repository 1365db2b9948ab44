import t from 'tap';
import { participantsRoute } from '../../lib/admin/participants.js';
import type { Participant } from '../../lib/dataplane/shared/participants.js';
import { BadQuery } from '../../lib/server/query.js';
import { bodyOf } from '../server/fixtures.js';
import { participant } from './fixtures.js';

function routesOf(pages: readonly (readonly Participant[])[], asked: unknown[] = []) {
  return {
    '/v1/participants': participantsRoute({
      async *participants(service) {
        asked.push(service);
        yield* pages;
      },
    }),
  };
}

t.test('/v1/participants lists what all pages have', async (t) => {
  const routes = routesOf([
    [participant(), participant({ prefix: 'b' })],
    [],
    [participant({ prefix: 'c' })],
  ]);
  const { participants } = JSON.parse(await bodyOf(routes, '/v1/participants'));
  t.match(participants, [{ vendor: 'Cyclone DDS', warnings: [] }, { prefix: 'b' }, { prefix: 'c' }]);
  t.same(JSON.parse(await bodyOf(routesOf([]), '/v1/participants')), { participants: [] });
});

t.test('a participant that cannot be reached has a warning that says the way out', async (t) => {
  const natted = participant({ source: '[fd00::7]:4000', unreachableAt: ['192.168.1.2', '192.168.2.2'] });
  const { participants } = JSON.parse(await bodyOf(routesOf([[natted]]), '/v1/participants'));
  const [warning] = participants[0].warnings;
  t.match(warning, /^calls from fd00::7 and announces only 192.168.1.2, 192.168.2.2: it is behind NAT/);
  t.match(warning, /TCP transport of its DDS, or Zenoh$/);
});

t.test('the query says of which Service', async (t) => {
  const asked: unknown[] = [];
  const routes = routesOf([], asked);
  await bodyOf(routes, '/v1/participants');
  await bodyOf(routes, '/v1/participants?service=default/robot');
  t.same(asked, [null, 'default/robot']);
  await t.rejects(bodyOf(routes, '/v1/participants?service=robot'), BadQuery);
});
