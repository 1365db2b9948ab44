import { fileURLToPath } from 'node:url';
import type { Host } from '../lab/host.js';
import type { Program } from '../lab/program.js';

/** What has come of a flow. */
export interface FlowRecord {
  readonly flow: number;
  /** The numbers of its datagrams, in the order of arrival. */
  readonly numbers: readonly number[];
  /** `address port` of its senders, each once. */
  readonly clients: readonly string[];
}

const PROGRAM = fileURLToPath(new URL('udp-recorder-program.js', import.meta.url));

/** A UDP server that records the datagrams of {@link UdpBursts}. */
export class UdpRecorder {
  #reports = 0;

  private constructor(
    readonly host: Host,
    readonly program: Program,
  ) {}

  /** @param mode whether it sends each datagram back */
  static async start(host: Host, port: number, mode: 'answers' | 'silent'): Promise<UdpRecorder> {
    const program = host.spawn(process.execPath, [PROGRAM, `${port}`, mode]);
    await program.waitForOutput(/^ready$/m);
    return new UdpRecorder(host, program);
  }

  /** All flows so far. */
  async records(): Promise<FlowRecord[]> {
    this.program.write('report\n');
    const number = ++this.#reports;
    const line = await this.program.waitFor(
      () => this.program.stdout.split('\n').slice(0, -1)[number] ?? null,
      `report ${number}`,
    );
    return JSON.parse(line) as FlowRecord[];
  }
}
