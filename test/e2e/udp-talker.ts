import { fileURLToPath } from 'node:url';
import type { Host } from '../lab/host.js';
import type { Program } from '../lab/program.js';

export interface UdpTalkerOptions {
  readonly address: string;
  readonly port: number;
}

export type Saying = { readonly word: string } | { readonly sizes: readonly number[] };

/** What an echo made of a burst. */
export interface BurstReply {
  /** Payload sizes in the order of arrival. */
  readonly sizes: readonly number[];
  /** Whether each has the bytes of the one that was sent in its place. */
  readonly intact: boolean;
}

const PROGRAM = fileURLToPath(new URL('udp-talker-program.js', import.meta.url));

/** One UDP client with one socket: a flow for as long as the test wants. It never sends anything twice. */
export class UdpTalker {
  #replies = 0;

  private constructor(readonly program: Program) {}

  static async start(host: Host, options: UdpTalkerOptions): Promise<UdpTalker> {
    const program = host.spawn(process.execPath, [PROGRAM, JSON.stringify(options)]);
    await program.waitForOutput(/^ready$/m);
    return new UdpTalker(program);
  }

  /** Sends one datagram. Resolves to the answer; null where none came. */
  async say(word: string): Promise<string | null> {
    return ((await this.#ask({ word })) as { answer: string | null }).answer;
  }

  /** Sends datagrams of these sizes, bytes, at once to an echo. */
  async burst(sizes: readonly number[]): Promise<BurstReply> {
    return (await this.#ask({ sizes })) as BurstReply;
  }

  async #ask(saying: Saying): Promise<unknown> {
    this.program.write(`${JSON.stringify(saying)}\n`);
    const number = ++this.#replies;
    const line = await this.program.waitFor(
      () => this.program.stdout.split('\n').slice(0, -1)[number] ?? null,
      `reply ${number}`,
    );
    return JSON.parse(line);
  }
}
