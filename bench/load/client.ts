/**
 * A program: the load generator. Its argument is a LoadPlan as JSON, and its output is a LoadResult as JSON.
 */
import { change } from './change.js';
import { Meter } from './meter.js';
import type { LoadPlan, LoadResult } from './plan.js';
import { tcpConnect } from './tcp-connect.js';
import { tcpRoundTrips } from './tcp-round-trips.js';
import { udpEcho } from './udp-echo.js';
import { udpFlows } from './udp-flows.js';
import { udpLookups } from './udp-lookups.js';
import { udpOneWay } from './udp-one-way.js';

function generate(plan: LoadPlan): LoadResult {
  const { work } = plan;
  switch (work.kind) {
    case 'one-way':
      return udpOneWay(plan, work);
    case 'change':
      return change(plan, work);
    case 'udp':
      return metered(plan, (meter) => udpEcho(plan, work, meter));
    case 'flows':
      return metered(plan, (meter) => udpFlows(plan, work, meter));
    case 'lookups':
      return metered(plan, (meter) => udpLookups(plan, work, meter));
    case 'connect':
      return metered(plan, (meter) => tcpConnect(plan, work, meter));
    case 'roundtrip':
      return metered(plan, (meter) => tcpRoundTrips(plan, work, meter));
  }
}

function metered(plan: LoadPlan, load: (meter: Meter) => void): LoadResult {
  const meter = new Meter(plan);
  load(meter);
  return meter.result();
}

process.stdout.write(JSON.stringify(generate(JSON.parse(process.argv[2]) as LoadPlan)));
