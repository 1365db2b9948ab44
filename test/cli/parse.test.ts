import { InvalidArgumentError } from 'commander';
import t from 'tap';
import {
  collectPaths,
  integerBetween,
  parseBindAddress,
  parseBindTarget,
  parseCidrs,
  parseDuration,
  parseDurationOrZero,
  parseNodePortAddresses,
  parsePortRange,
} from '../../lib/cli/parse.js';

/** Texts and the value that each parser reads from them. Null: the parser must refuse the text. */
const cases: readonly [name: string, parse: (text: string) => unknown, text: string, value: unknown][] = [
  ['duration', parseDuration, '30s', 30_000],
  ['duration', parseDuration, '1m30s', 90_000],
  ['duration', parseDuration, '250ms', 250],
  ['duration', parseDuration, '1h', 3_600_000],
  ['duration', parseDuration, '1.5s', 1_500],
  ['duration', parseDuration, '30', null],
  ['duration', parseDuration, '0s', null],
  ['duration', parseDuration, '-1s', null],
  ['duration', parseDuration, '1 s', null],
  ['duration', parseDuration, '', null],
  ['duration', parseDuration, '576h', 2_073_600_000],
  ['duration', parseDuration, '576h1ms', null],
  ['duration', parseDuration, '2147483648ms', null],
  ['duration', parseDuration, `${'9'.repeat(400)}h`, null],
  ['duration', parseDuration, '0.4ms', null],
  ['duration or zero', parseDurationOrZero, '577h', null],
  ['duration or zero', parseDurationOrZero, '0', 0],
  ['duration or zero', parseDurationOrZero, '0s', 0],
  ['duration or zero', parseDurationOrZero, '2s', 2_000],
  ['duration or zero', parseDurationOrZero, '2', null],
  ['integer', integerBetween(1, 64), '1', 1],
  ['integer', integerBetween(1, 64), '64', 64],
  ['integer', integerBetween(1, 64), '0', null],
  ['integer', integerBetween(1, 64), '65', null],
  ['integer', integerBetween(1, 64), '0x10', null],
  ['integer', integerBetween(1, 64), '1.5', null],
  ['port range', parsePortRange, '20000-29999', { first: 20_000, last: 29_999 }],
  ['port range', parsePortRange, '20000+9', { first: 20_000, last: 20_009 }],
  ['port range', parsePortRange, '1-1', { first: 1, last: 1 }],
  ['port range', parsePortRange, '0-10', null],
  ['port range', parsePortRange, '10-5', null],
  ['port range', parsePortRange, '65000+1000', null],
  ['port range', parsePortRange, '20000', null],
  ['bind target', parseBindTarget, '127.0.0.1:10249', { host: '127.0.0.1', port: 10_249 }],
  ['bind target', parseBindTarget, '[::1]:80', { host: '::1', port: 80 }],
  ['bind target', parseBindTarget, '', 'off'],
  ['CIDRs', parseCidrs, '10.0.0.0/8', ['10.0.0.0/8']],
  ['CIDRs', parseCidrs, '10.0.0.0/8, fd00::/8', ['10.0.0.0/8', 'fd00::/8']],
  ['CIDRs', parseCidrs, '010.0.0.0/08', ['10.0.0.0/8']],
  ['CIDRs', parseCidrs, '10.0.0.0/33', null],
  ['CIDRs', parseCidrs, 'primary', null],
  ['node addresses', parseNodePortAddresses, 'primary, 10.0.0.0/8', ['primary', '10.0.0.0/8']],
  ['node addresses', parseNodePortAddresses, 'localhost,all', ['localhost', 'all']],
  ['node addresses', parseNodePortAddresses, 'locahost', null],
  ['CIDRs', parseCidrs, '10.0.0.1', null],
  ['CIDRs', parseCidrs, 'fd00::/129', null],
  ['CIDRs', parseCidrs, '10.0.0.0/8,', null],
];

for (const [name, parse, text, value] of cases) {
  const refused = value === null;
  t.test(`${name} ${JSON.stringify(text)} is ${refused ? 'refused' : 'read'}`, (t) => {
    if (refused) t.throws(() => parse(text), InvalidArgumentError);
    else t.same(parse(text), value);
    t.end();
  });
}

for (const text of [
  '10249',
  ':10249',
  'localhost:80',
  '127.0.0.1',
  '127.0.0.1:70000',
  '::1:80',
  '[127.0.0.1]:80',
]) {
  t.test(`bind target ${JSON.stringify(text)} is refused`, (t) => {
    t.throws(() => parseBindTarget(text), InvalidArgumentError);
    t.end();
  });
}

t.test('a bind address replaces only the address of its family', (t) => {
  t.same(parseBindAddress('192.168.1.10'), { IPv4: '192.168.1.10', IPv6: '::' });
  t.same(parseBindAddress('fd00::1', { IPv4: '192.168.1.10', IPv6: '::' }), {
    IPv4: '192.168.1.10',
    IPv6: 'fd00::1',
  });
  t.throws(() => parseBindAddress('eth0'), InvalidArgumentError);
  t.end();
});

t.test('the values of repeated flags add up', (t) => {
  t.same(collectPaths('b', collectPaths('a')), ['a', 'b']);
  t.same(collectPaths('-'), ['/dev/stdin']);
  t.throws(() => collectPaths(''), InvalidArgumentError);
  t.same(parseCidrs('fd00::/8', ['10.0.0.0/8']), ['10.0.0.0/8', 'fd00::/8']);
  t.end();
});
