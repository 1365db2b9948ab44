/** The load generator, a program of its own in the client pod. Its argument is a LoadPlan as JSON, its output a LoadResult. */
import { Meter } from './meter.js';
import type { LoadPlan, LoadResult } from './plan.js';
import { tcpConnect } from './tcp-connect.js';
import { tcpRoundTrips } from './tcp-round-trips.js';
import { udpEcho } from './udp-echo.js';
import { udpFlows } from './udp-flows.js';
import { udpOneWay } from './udp-one-way.js';

function carryOut(plan: LoadPlan): LoadResult {
  const { work } = plan;
  if (work.kind === 'one-way') return udpOneWay(plan, work);
  const meter = new Meter(plan);
  switch (work.kind) {
    case 'udp':
      udpEcho(plan, work, meter);
      break;
    case 'flows':
      udpFlows(plan, work, meter);
      break;
    case 'connect':
      tcpConnect(plan, work, meter);
      break;
    case 'roundtrip':
      tcpRoundTrips(plan, work, meter);
      break;
  }
  return meter.result();
}

process.stdout.write(JSON.stringify(carryOut(JSON.parse(process.argv[2]) as LoadPlan)));
