import { cpuOf } from '../cpu.js';
import type { Span } from '../load/plan.js';
import { IPERF_PORT } from '../service.js';
import type { Stage } from '../stage.js';
import { cpuPerGibibyte, gigabits } from './figure.js';
import { type Row, relays } from './row.js';

const GIBIBYTE = 2 ** 30;

/** As much of iperf3's JSON as is used. */
interface IperfReport {
  readonly intervals: readonly { readonly sum: { readonly bytes: number } }[];
  readonly end: { readonly sum_received: { readonly bits_per_second: number } };
}

/**
 * TCP from client to backend with iperf3 at both ends. The receiver copies all data out of the kernel, as every program
 * does that wants it; one that drops it there (recv(2), MSG_TRUNC) shows rates that no user can get.
 */
function bulkRow(streams: number): Row {
  return {
    id: `bulk-${streams}`,
    title: `TCP bulk, ${streams} ${streams === 1 ? 'stream' : 'streams'} (iperf3)`,
    figures: [gigabits, cpuPerGibibyte],
    suits: relays('TCP'),
    async measure(turn) {
      const { stage, running } = await turn.arena();
      const { result, seconds } = await cpuOf(running.pid, () =>
        iperf(stage, running.address, streams, turn.span),
      );
      const bytes = result.intervals.reduce((total, { sum }) => total + sum.bytes, 0);
      return {
        gigabits: result.end.sum_received.bits_per_second / 1e9,
        ...(seconds !== null && { cpu: (seconds / bytes) * GIBIBYTE }),
      };
    },
  };
}

/** iperf3 takes whole seconds. */
async function iperf(
  { client }: Stage,
  address: string,
  streams: number,
  { duration }: Span,
): Promise<IperfReport> {
  const options = { c: address, p: IPERF_PORT, P: streams, t: Math.max(1, Math.round(duration)) };
  const args = Object.entries(options).flatMap(([flag, value]) => [`-${flag}`, String(value)]);
  const { stdout } = await client.exec('iperf3', [...args, '--json']);
  const report = JSON.parse(stdout) as IperfReport & { readonly error?: string };
  if (report.error !== undefined) throw new Error(`iperf3: ${report.error}`);
  return report;
}

export const BULK_ROWS: readonly Row[] = [bulkRow(1), bulkRow(8)];
