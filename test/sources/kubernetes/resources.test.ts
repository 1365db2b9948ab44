import t from 'tap';
import { SLICES } from '../../../lib/sources/kubernetes/resources.js';
import { rawSlice } from '../../model/fixtures.js';

t.test('slices without a Service are left out, and they are no problem', async (t) => {
  for (const { name, parse } of SLICES.filter((resource) => resource.name.includes('endpointslices'))) {
    const valuesOf = (labels: object) => {
      const parsed = parse(rawSlice([{ addresses: ['10.1.0.1'] }], {}, { labels }));
      return parsed.ok ? parsed.value.map(({ service }) => service) : parsed.problem;
    };
    t.same(valuesOf({ 'kubernetes.io/service-name': 'web' }), ['default/web'], name);
    t.same(valuesOf({ app: 'other' }), [], name);
  }
});
