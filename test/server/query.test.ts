import t from 'tap';
import { BadQuery, type QueryField, readQuery } from '../../lib/server/query.js';

const FIELDS: { [Name in 'name' | 'count']: QueryField<unknown> } = {
  name: { allowed: 'a name', absent: null, parse: (text) => (text === '' ? undefined : text) },
  count: { allowed: 'a digit', absent: 7, parse: (text) => (/^\d$/.test(text) ? Number(text) : undefined) },
};

const read = (query: string) => readQuery(new URLSearchParams(query), FIELDS);

t.test('given fields are read, and absent fields have their default', async (t) => {
  t.same(read(''), { name: null, count: 7 });
  t.same(read('count=3'), { name: null, count: 3 });
  t.same(read('name=a%2Fb&count=0'), { name: 'a/b', count: 0 });
});

t.test('an error names the field and what is allowed', async (t) => {
  t.throws(() => read('count=12'), new BadQuery('count: "12" is not a digit'));
  t.throws(() => read('name='), new BadQuery('name: "" is not a name'));
  t.throws(() => read('nane=x'), new BadQuery('nane: no such field; there are: name count'));
  t.throws(() => read('constructor=x'), new BadQuery('constructor: no such field; there are: name count'));
  t.throws(() => read('count=1&count=1'), new BadQuery('count: given 2 times; give it once'));
});
