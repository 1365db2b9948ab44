import type { Host } from './host.js';
import type { Program } from './program.js';

/** A UDP datagram that was captured whole. */
export interface CapturedDatagram {
  /** Seconds since 1970. */
  readonly time: number;
  /** IPv4 addresses. */
  readonly source: string;
  readonly destination: string;
  readonly payload: Uint8Array;
}

/** Captures IPv4 UDP datagrams on a host, from when it is started until the lab ends. */
export class Capture {
  readonly #tcpdump: Program;

  private constructor(tcpdump: Program) {
    this.#tcpdump = tcpdump;
  }

  /** Resolves once it captures. @param filter see pcap-filter(7) */
  static async start(host: Host, direction: 'in' | 'out', filter: string): Promise<Capture> {
    const output = ['-n', '-l', '-tt', '-x', '--immediate-mode'];
    const tcpdump = host.spawn('tcpdump', ['-i', 'eth0', '-Q', direction, ...output, `udp and ${filter}`]);
    await tcpdump.waitFor(() => (tcpdump.stderr.includes('listening on') ? true : null), 'it captures');
    return new Capture(tcpdump);
  }

  /** What has been captured so far, in its order. */
  get datagrams(): CapturedDatagram[] {
    // The last one may still be on its way.
    const texts = this.#tcpdump.stdout.split(/^(?=\d+\.\d+ IP )/m).slice(0, -1);
    return texts.map(readDatagram);
  }
}

function readDatagram(text: string): CapturedDatagram {
  const [title = '', ...lines] = text.split('\n');
  const hex = lines.map((line) => line.replace(/^\s*0x[0-9a-f]+:/, '').replaceAll(/\s/g, '')).join('');
  const packet = Buffer.from(hex, 'hex');
  const udp = ((packet[0] ?? 0) & 15) * 4;
  return {
    time: Number.parseFloat(title),
    source: packet.subarray(12, 16).join('.'),
    destination: packet.subarray(16, 20).join('.'),
    payload: packet.subarray(udp + 8, udp + packet.readUInt16BE(udp + 4)),
  };
}
