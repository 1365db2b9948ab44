import t from 'tap';
import type { ParticipantReport } from '../../lib/admin/participants.js';
import { participantsText } from '../../lib/cli/participants.js';
import { participant } from '../admin/fixtures.js';

function report(over: Partial<ParticipantReport> = {}): ParticipantReport {
  const { unreachableAt: _, ...rest } = participant();
  return { ...rest, warnings: [], ...over };
}

t.test('each participant has a row with its replica and its locators', async (t) => {
  const text = participantsText({
    participants: [
      report({ source: '10.244.0.9:1', host: null, process: null, pid: null, leaseMs: null }),
      report({ service: 'default/arm', data: ['udp/10.244.0.21:7410'] }),
    ],
  });
  const lines = text.split('\n').map((line) => line.split(/ {2,}/).filter((cell) => cell !== ''));
  t.same(lines[1], [
    ...['default/arm', '0110465b6276a1ab271afc1a', 'Cyclone DDS', 'robot-7', 'talker 4711'],
    ...['10.244.0.21:41000', '10.244.0.11:7410', 'udp/10.244.0.21:7410', '10s', '0s', '120', '14000'],
  ]);
  t.match(lines[2], ['default/robot', /./, /./, '<unknown>', '<unknown>', '10.244.0.9:1']);
  t.ok(lines[2]?.includes('endless'));
  t.same(lines[3], ['udp/10.244.0.21:7411'], 'a further locator has a line of its own');
});

t.test('warnings stand below the table, with the participant that they are about', async (t) => {
  const text = participantsText({ participants: [report({ warnings: ['is behind NAT'] })] });
  t.match(text, /\n\n0110465b6276a1ab271afc1a is behind NAT\n$/);
});

t.test('what a participant says of itself cannot change how a terminal shows it', async (t) => {
  const hostile = '\u001b[2J\n\u202eevil';
  const text = participantsText({
    participants: [report({ host: hostile, process: hostile, pid: hostile })],
  });
  t.notOk(text.includes('\u001b') || text.includes('\u202e'));
  t.match(text, '\\u001b[2J\\n\\u202eevil');
});

t.test('no participant is known', async (t) => {
  t.match(
    participantsText({ participants: [] }),
    /^no participant of a Service with an RTPS annotation is known/,
  );
});
