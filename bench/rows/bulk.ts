import { cpuOf } from '../cpu.js';
import type { Span } from '../load/plan.js';
import { IPERF_PORT } from '../service.js';
import type { Testbed } from '../testbed.js';
import { cpuPerGibibyte, gigabits } from './figure.js';
import { type Row, relays } from './row.js';

const GIBIBYTE = 2 ** 30;

/** The fields of iperf3's JSON that are used. */
interface IperfReport {
  readonly intervals: readonly { readonly sum: { readonly bytes: number } }[];
  readonly end: { readonly sum_received: { readonly bits_per_second: number } };
}

/**
 * TCP from client to backend with iperf3 at both ends. The receiver copies all data out of the kernel, as
 * every program does that uses its data. If it dropped the data in the kernel (MSG_TRUNC), no user would get
 * such rates.
 */
function bulkRow(streams: number): Row {
  return {
    id: `bulk-${streams}`,
    title: `TCP bulk, ${streams} ${streams === 1 ? 'stream' : 'streams'} (iperf3)`,
    figures: [gigabits, cpuPerGibibyte],
    suits: relays('TCP'),
    async measure(turn) {
      const { testbed, running } = await turn.deployment();
      const { result, seconds } = await cpuOf(running.pid, () =>
        iperf(testbed, running.address, streams, turn.times),
      );
      const bytes = result.intervals.reduce((total, { sum }) => total + sum.bytes, 0);
      return {
        gigabits: result.end.sum_received.bits_per_second / 1e9,
        ...(seconds !== null && { cpu: (seconds / bytes) * GIBIBYTE }),
      };
    },
  };
}

/** Runs iperf3, which takes whole seconds. */
async function iperf(
  { client }: Testbed,
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
