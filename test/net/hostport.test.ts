import t from 'tap';
import { bracketed, hostPort, parseHostPort } from '../../lib/net/hostport.js';

t.test('before a port, an IPv6 address gets brackets, and other hosts stay as they are', async (t) => {
  t.equal(hostPort('10.96.0.10', 80), '10.96.0.10:80');
  t.equal(hostPort('fd00::10', 80), '[fd00::10]:80');
  t.equal(hostPort('node-1', '80'), 'node-1:80');
  t.equal(bracketed('::'), '[::]');
});

t.test('the parts of a host and port', async (t) => {
  const table: [string, unknown][] = [
    ['10.96.0.10:80', { host: '10.96.0.10', isBracketed: false, port: 80 }],
    ['[fd00::10]:80', { host: 'fd00::10', isBracketed: true, port: 80 }],
    ['node-1', { host: 'node-1', isBracketed: false, port: null }],
    ['[::1]', { host: '::1', isBracketed: true, port: null }],
    ['node-1:', { host: 'node-1', isBracketed: false, port: Number.NaN }],
    [':80', { host: '', isBracketed: false, port: 80 }],
    ['::1', null],
    ['::1:80', null],
    ['[::1', null],
    ['[::1]80', null],
    ['[[::1]]:80', null],
    ['host:port', null],
  ];
  for (const [text, parts] of table) t.same(parseHostPort(text), parts, text);
});

t.test('a formatted host and port is read as the same host and port', async (t) => {
  for (const [host, port] of [
    ['192.0.2.1', 0],
    ['fd00::1', 65_535],
  ] as const)
    t.match(parseHostPort(hostPort(host, port)), { host, port });
});
