import t from 'tap';
import { sessionsText } from '../../lib/cli/sessions.js';
import type { Session } from '../../lib/dataplane/shared/sessions.js';

const PORTAL = 'default/web:http/TCP/IPv4';
const SESSION: Session = {
  portal: PORTAL,
  client: '192.0.2.7:40000',
  endpoint: '10.0.0.1:8080',
  carrier: 'relay',
  state: 'open',
  idleMs: 1234,
  bytesIn: null,
  bytesOut: null,
};

t.test(
  'the first table has endpoints by portal, the busiest first, and the second has sessions',
  async (t) => {
    const text = sessionsText({
      sessions: [
        SESSION,
        { ...SESSION, client: '[fd00::7]:1', endpoint: null, state: 'connecting', idleMs: 0 },
      ],
      endpoints: [
        { portal: PORTAL, endpoint: null, sessions: 1 },
        { portal: PORTAL, endpoint: '10.0.0.1:8080', sessions: 3 },
        { portal: 'default/a:/UDP/IPv4', endpoint: '10.0.0.2:53', sessions: 1 },
      ],
      total: 5,
    });
    t.equal(
      text,
      `PORTAL                     ENDPOINT       SESSIONS
default/a:/UDP/IPv4        10.0.0.2:53    1
default/web:http/TCP/IPv4  10.0.0.1:8080  3
default/web:http/TCP/IPv4  <none yet>     1

PORTAL                     CLIENT           ENDPOINT       CARRIER  STATE       IDLE  BYTES-IN  BYTES-OUT
default/web:http/TCP/IPv4  192.0.2.7:40000  10.0.0.1:8080  relay    open        1.2s  -         -
default/web:http/TCP/IPv4  [fd00::7]:1      <none yet>     relay    connecting  0.0s  -         -

3 more are open; --limit lists more
`,
    );
  },
);

t.test('what the kernel carries is listed with what it knows', async (t) => {
  const carried: Session = { ...SESSION, carrier: 'kernel' };
  const text = sessionsText({
    sessions: [
      { ...carried, idleMs: 3000, bytesIn: 120, bytesOut: 0 },
      { ...carried, portal: null, idleMs: null },
    ],
    endpoints: [
      { portal: PORTAL, endpoint: '10.0.0.1:8080', sessions: 1 },
      { portal: null, endpoint: '10.0.0.1:8080', sessions: 1 },
    ],
    total: 2,
  });
  t.equal(
    text,
    `PORTAL                     ENDPOINT       SESSIONS
<removed>                  10.0.0.1:8080  1
default/web:http/TCP/IPv4  10.0.0.1:8080  1

PORTAL                     CLIENT           ENDPOINT       CARRIER  STATE  IDLE  BYTES-IN  BYTES-OUT
default/web:http/TCP/IPv4  192.0.2.7:40000  10.0.0.1:8080  kernel   open   3.0s  120       0
<removed>                  192.0.2.7:40000  10.0.0.1:8080  kernel   open   -     -         -
`,
  );
});

t.test(
  'without listed sessions, only the counts are shown, and without sessions a line says so',
  async (t) => {
    const endpoints = [{ portal: PORTAL, endpoint: '10.0.0.1:8080', sessions: 2 }];
    t.match(sessionsText({ sessions: [], endpoints, total: 2 }), /8080 +2\n\n2 more are open/);
    t.equal(sessionsText({ sessions: [], endpoints: [], total: 0 }), 'no session is open\n');
  },
);
