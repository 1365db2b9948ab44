import { startDdsClient, startDdsServer } from '../../test/lab/ddsperf.js';
import { exactly } from '../../test/lab/items.js';
import { cpuOf } from '../cpu.js';
import type { Span } from '../load/plan.js';
import type { Turn } from '../turn.js';
import { cpuPerGibibyte, cpuPerMillion, type Figure, p50, p99, rate } from './figure.js';
import { type Row, relays } from './row.js';

const GIBIBYTE = 2 ** 30;

interface Link {
  /** Arguments of ddsperf in the backend pod. It announces the address of the Service as its own. */
  readonly backend: readonly string[];
  /** Arguments of ddsperf in the client pod. It knows only the address of the Service. */
  readonly client: readonly string[];
}

interface LinkReport {
  /** Output of ddsperf in the backend pod. */
  readonly backend: string;
  /** Output of ddsperf in the client pod. */
  readonly client: string;
  /** CPU seconds of the proxy. Null: there is no proxy. */
  readonly seconds: number | null;
}

/** Runs a DDS link through the Service for some seconds. ddsperf prints a line every second. */
async function runLink(turn: Turn, { backend, client }: Link): Promise<LinkReport> {
  const { testbed, running } = await turn.deployment();
  const { address, pid } = running;
  const server = startDdsServer(testbed.backend, backend, address);
  const { result, seconds } = await cpuOf(pid, () =>
    startDdsClient(testbed.client, ['-D', String(secondsFor(turn.times)), ...client], address).finish(),
  );
  await server.stop();
  return { backend: server.stdout, client: result.stdout, seconds };
}

/** Seconds that ddsperf runs. The first second is for discovery. */
function secondsFor({ duration }: Span): number {
  return 1 + Math.max(1, Math.round(duration));
}

/** The samples that a subscriber counted. Its lines have a time and a total. */
function samplesOf(output: string): { readonly total: number; readonly perSecond: number } {
  const lines = [...output.matchAll(/\] (\d+\.\d+) {2}size \d+ total (\d+)/g)].map(([, time, total]) => ({
    time: Number(time),
    total: Number(total),
  }));
  const [first, last] = [lines.at(0), lines.at(-1)];
  if (first === undefined || last === undefined) return { total: 0, perSecond: 0 };
  const seconds = last.time - first.time;
  return { total: last.total, perSecond: seconds > 0 ? (last.total - first.total) / seconds : 0 };
}

/** Reliable samples from publisher to subscriber, as fast as the acknowledgements allow. */
function publishRow(id: string, size: string, bytes: number, cost: Figure, costFor: number): Row {
  return {
    id,
    title: `DDS publish to subscribe, ${size} samples (ddsperf)`,
    figures: [rate, cost],
    suits: relays('UDP'),
    async measure(turn) {
      const report = await runLink(turn, { backend: ['sub'], client: ['pub', 'size', String(bytes)] });
      const { total, perSecond } = samplesOf(report.backend);
      const { seconds } = report;
      return {
        rate: perSecond,
        ...(seconds !== null && total > 0 && { [cost.id]: (seconds / total) * costFor }),
      };
    },
  };
}

const pingRow: Row = {
  id: 'dds-ping',
  title: 'DDS ping and pong (ddsperf), round trip',
  figures: [p50, p99, cpuPerMillion],
  suits: relays('UDP'),
  async measure(turn) {
    const { client, seconds } = await runLink(turn, { backend: ['pong'], client: ['ping'] });
    // ddsperf prints one line for each second after the first. The last line is used.
    const line = [...client.matchAll(/ 50% (\S+)us .* 99% (\S+)us .* cnt (\d+)/g)].at(-1);
    if (line === undefined) return {};
    const [p50, p99, perSecond] = exactly(3, line.slice(1).map(Number));
    const total = perSecond * secondsFor(turn.times);
    return { p50, p99, ...(seconds !== null && { cpu: (seconds / total) * 1e6 }) };
  },
};

export const DDS_ROWS: readonly Row[] = [
  publishRow('dds-1k', '1 KiB', 1024, cpuPerMillion, 1e6),
  publishRow('dds-64k', '64 KiB', 65536, cpuPerGibibyte, GIBIBYTE / 65536),
  pingRow,
];
