/** The load generator, a program of its own in the client pod. Its argument is a LoadPlan as JSON, its output a LoadResult. */
import { Meter } from './meter.js';
import type { LoadPlan } from './plan.js';
import { bulkLoad, connectLoad, roundTripLoad } from './tcp-load.js';
import { udpLoad } from './udp-load.js';

const plan = JSON.parse(process.argv[2]) as LoadPlan;
const meter = new Meter(plan);
const { work } = plan;
switch (work.kind) {
  case 'udp':
    udpLoad(plan, work, meter);
    break;
  case 'connect':
    connectLoad(plan, work, meter);
    break;
  case 'roundtrip':
    roundTripLoad(plan, work, meter);
    break;
  case 'bulk':
    bulkLoad(plan, work, meter);
    break;
}
process.stdout.write(JSON.stringify(meter.result()));
