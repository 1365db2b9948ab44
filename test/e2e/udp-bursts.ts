import { fileURLToPath } from 'node:url';
import type { Host } from '../lab/host.js';
import type { Program } from '../lab/program.js';

export interface UdpBurstsOptions {
  readonly address: string;
  readonly port: number;
  /** Sockets, each one flow. */
  readonly flows: number;
  /** Datagrams of each flow in one burst. */
  readonly datagrams: number;
  /** The number of the first flow. @defaultValue 0 */
  readonly firstFlow?: number;
  /** Of each datagram. @defaultValue 64 */
  readonly bytes?: number;
}

/** Answers from a `UdpRecorder` that sends all back. */
export interface Answers {
  readonly answers: number;
  /** How many of them had come before. */
  readonly doubled: number;
}

const PROGRAM = fileURLToPath(new URL('udp-bursts-program.js', import.meta.url));

/** UDP clients that send bursts of numbered datagrams, one after the other, without a pause. */
export class UdpBursts {
  #commands = 0;

  private constructor(readonly program: Program) {}

  static async start(host: Host, options: UdpBurstsOptions): Promise<UdpBursts> {
    const program = host.spawn(process.execPath, [PROGRAM, JSON.stringify(options)]);
    await program.waitForOutput(/^ready$/m);
    return new UdpBursts(program);
  }

  /** One burst from each socket. Resolves when they are sent, to the number of answers until then. */
  async burst(): Promise<number> {
    return (await this.#say('burst')).answers;
  }

  /** As {@link burst}, with one datagram from each socket. */
  async single(): Promise<void> {
    await this.#say('single');
  }

  /** What has come back until now. */
  answers(): Promise<Answers> {
    return this.#say('report');
  }

  async #say(command: 'burst' | 'single' | 'report'): Promise<Answers> {
    this.program.write(`${command}\n`);
    const number = ++this.#commands;
    const line = await this.program.waitFor(
      () => this.program.stdout.split('\n').slice(0, -1)[number] ?? null,
      `${command} ${number}`,
    );
    return JSON.parse(line) as Answers;
  }
}
