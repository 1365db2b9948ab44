import t from 'tap';
import { analyse } from '../../lib/affinity/analysis.js';
import { gather } from '../../lib/affinity/gathering.js';
import { NotMeasured } from '../../lib/affinity/notmeasured.js';
import { EVENT, observe, ROUNDS, recordOf } from './fixtures.js';

/** What one client brings home. @param startedAt seconds and milliseconds */
function reportOf(client: string, met: string, startedAt: string, port = '80/tcp') {
  return recordOf(observe([{ client, port, met }]), {
    startedAt: `2026-01-01T00:00:${startedAt}Z`,
    tookMs: 500,
  });
}

t.test('the rounds of all clients are one stage, on one clock', async (t) => {
  const { startedAt, tookMs, asked, stages, observations } = gather([
    reportOf('10.0.0.2', 'aa', '01.500'),
    reportOf('10.0.0.1', 'bb', '01.000'),
  ]);
  t.equal(startedAt, '2026-01-01T00:00:01.000Z');
  t.equal(tookMs, 1000);
  t.same(asked.clients, ['10.0.0.1', '10.0.0.2']);
  t.same(stages, [{ kind: 'rounds', startMs: 0, endMs: 1000 }]);
  t.same(
    observations.map(({ client, atMs }) => [client, atMs]),
    [
      ['10.0.0.2', 500],
      ['10.0.0.2', 600],
      ['10.0.0.1', 0],
      ['10.0.0.1', 100],
    ],
  );
});

t.test('clients that have one backend each, and clients that have not, are judged together', async (t) => {
  const verdictOf = (...met: string[]) =>
    analyse(gather(met.map((each, index) => reportOf(`10.0.0.${index}`, each, '00.000')))).verdict.found;
  t.equal(verdictOf('aaaa', 'bbbb', 'aaaa'), 'ClientIP');
  t.equal(verdictOf('abca', 'bcab', 'cabc'), 'None');
  t.equal(verdictOf('aaaa', 'aaaa'), 'unknown');
});

t.test('events of a client are not gathered', async (t) => {
  const rounds = observe([{ client: '10.0.0.1', port: '80/tcp', met: 'aa' }]);
  const during = observe([{ client: '10.0.0.1', port: '80/tcp', met: 'bb' }], 1, 1000);
  const record = recordOf([...rounds, ...during], { stages: [ROUNDS, EVENT] });
  t.equal(gather([record]).observations.length, 2);
});

t.test('reports that do not belong together, and none at all, are refused', async (t) => {
  t.throws(() => gather([]), NotMeasured);
  const other = reportOf('10.0.0.2', 'aa', '00.000', '81/tcp');
  t.throws(() => gather([reportOf('10.0.0.1', 'aa', '00.000'), other]), {
    message: 'clients asked different things: 10.96.0.10 80/tcp, and 10.96.0.10 81/tcp',
  });
});
