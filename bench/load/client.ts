/** The load generator, a program of its own in the client pod. Its argument is a LoadPlan as JSON, its output a LoadResult. */
import { Meter } from './meter.js';
import type { LoadPlan } from './plan.js';
import { tcpConnect } from './tcp-connect.js';
import { tcpRoundTrips } from './tcp-round-trips.js';
import { udpEcho } from './udp-echo.js';

const plan = JSON.parse(process.argv[2]) as LoadPlan;
const meter = new Meter(plan);
const { work } = plan;
switch (work.kind) {
  case 'udp':
    udpEcho(plan, work, meter);
    break;
  case 'connect':
    tcpConnect(plan, work, meter);
    break;
  case 'roundtrip':
    tcpRoundTrips(plan, work, meter);
    break;
}
process.stdout.write(JSON.stringify(meter.result()));
