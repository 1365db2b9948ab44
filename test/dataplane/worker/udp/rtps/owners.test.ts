import t from 'tap';
import { BELIEF, MOST_OWNERS, Owners } from '../../../../../lib/dataplane/worker/udp/rtps/owners.js';

function prefix(number: number): Uint8Array {
  const bytes = Buffer.alloc(12);
  bytes.writeUInt32BE(number, 8);
  return bytes;
}

t.test('a participant is found by every byte of its prefix', async (t) => {
  const owners = new Owners();
  const bytes = Buffer.from('000102030405060708090a0b', 'hex');
  owners.learn(bytes, 0, 'default/a', 0);
  t.equal(owners.find(bytes, 0, 1), 'default/a');
  for (let byte = 0; byte < bytes.length; byte++) {
    const other = Buffer.from(bytes);
    other[byte] = 0xff;
    t.equal(owners.find(other, 0, 1), null, `byte ${byte}`);
  }
});

t.test('the last that was learned holds, for a while', async (t) => {
  const owners = new Owners();
  owners.learn(prefix(1), 0, 'default/a', 0);
  owners.learn(prefix(1), 0, 'default/b', 10);
  t.equal(owners.find(prefix(1), 0, BELIEF), 'default/b');
  t.equal(owners.find(prefix(1), 0, BELIEF + 10), null);
  t.equal(owners.size, 0);
});

t.test('endless prefixes take no more memory', async (t) => {
  const owners = new Owners();
  for (let number = 0; number < 3 * MOST_OWNERS; number++) owners.learn(prefix(number), 0, 'default/a', 0);
  t.equal(owners.size, MOST_OWNERS);
  t.equal(owners.find(prefix(3 * MOST_OWNERS - 1), 0, 0), 'default/a', 'the latest are kept');
});

t.test('an endpoint is identified by its own word only, and not for ever', async (t) => {
  const owners = new Owners();
  owners.guess(prefix(1), 0, 'default/a', 0);
  t.equal(owners.isIdentified('default/a', 0), false);
  owners.learn(prefix(1), 0, 'default/a', 0);
  t.equal(owners.isIdentified('default/a', BELIEF - 1), true);
  t.equal(owners.isIdentified('default/a', BELIEF), false);
});

t.test('what was guessed by the address goes when the endpoint names its participant', async (t) => {
  const owners = new Owners();
  owners.guess(prefix(1), 0, 'default/a', 0);
  owners.guess(prefix(2), 0, 'default/a', 0);
  owners.guess(prefix(3), 0, 'default/b', 0);
  owners.learn(prefix(1), 0, 'default/a', 1);
  t.equal(owners.find(prefix(1), 0, 2), 'default/a');
  t.equal(owners.find(prefix(2), 0, 2), null, 'another program at the same address');
  t.equal(owners.find(prefix(3), 0, 2), 'default/b', 'other endpoints are their own affair');
  owners.learn(prefix(4), 0, 'default/a', 3);
  t.equal(owners.find(prefix(1), 0, 4), 'default/a', 'what the endpoint has named stays');
});
