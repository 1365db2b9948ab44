import type { Session } from '../dataplane/shared/sessions.js';
import { conntrackSetting } from '../sys/conntracksettings.js';
import { IPPROTO_TCP } from '../sys/constants.js';
import { STATUS, TCP_STATE } from '../sys/netlink/flow.js';
import type { FlowReader } from '../sys/netlink/flowreader.js';

/** How far a session has come that the kernel carries. */
export interface CarriedState {
  readonly name: Session['state'];
  /**
   * The settings of connection tracking from which a packet of such a session may have set the time-out anew,
   * in seconds. The first one is the usual one, the others are used if they are shorter.
   */
  readonly timeouts: readonly string[];
}

/** A packet that was not acknowledged, or was repeated often, sets these (nf_conntrack_proto_tcp.c). */
const TROUBLED = ['tcp_timeout_unacknowledged', 'tcp_timeout_max_retrans'];

const CLOSING = (timeout: string): CarriedState => ({ name: 'closing', timeouts: [timeout, ...TROUBLED] });

const TCP_STATES: Readonly<Record<number, CarriedState | null>> = {
  [TCP_STATE.synSent]: { name: 'connecting', timeouts: ['tcp_timeout_syn_sent'] },
  [TCP_STATE.synReceived]: { name: 'connecting', timeouts: ['tcp_timeout_syn_recv'] },
  [TCP_STATE.established]: { name: 'open', timeouts: ['tcp_timeout_established', ...TROUBLED] },
  [TCP_STATE.finWait]: CLOSING('tcp_timeout_fin_wait'),
  [TCP_STATE.closeWait]: CLOSING('tcp_timeout_close_wait'),
  [TCP_STATE.lastAck]: CLOSING('tcp_timeout_last_ack'),
  [TCP_STATE.timeWait]: null,
  [TCP_STATE.close]: null,
};
/** The kernel tells no state of a connection that a flow table of nftables carries past it. */
const UNTOLD: CarriedState = { name: 'open', timeouts: [] };

const UNREPLIED: CarriedState = { name: 'unreplied', timeouts: ['udp_timeout'] };
const ANSWERED: CarriedState = { name: 'answered', timeouts: ['udp_timeout'] };
const STREAM: CarriedState = { name: 'stream', timeouts: ['udp_timeout_stream'] };

/** Null: it has ended, and the kernel remembers it for a while. */
export function carriedState({ protocol, status, tcpState }: FlowReader): CarriedState | null {
  if (protocol === IPPROTO_TCP) return tcpState in TCP_STATES ? (TCP_STATES[tcpState] ?? null) : UNTOLD;
  if ((status & STATUS.seenReply) === 0) return UNREPLIED;
  return (status & STATUS.assured) === 0 ? ANSWERED : STREAM;
}

/** How long sessions have been idle. Reads each setting once. */
export class IdleTimes {
  readonly #setting: (name: string) => number | null;
  /** In seconds, ascending. */
  readonly #limits = new Map<CarriedState, readonly number[]>();

  constructor(setting = conntrackSetting) {
    this.#setting = setting;
  }

  /**
   * Milliseconds since the last packet: each one sets the time-out, and the kernel tells what is left of it.
   * Null if it does not tell, or if the time-out was set by another setting than today's.
   * @param left seconds
   */
  of(state: CarriedState, left: number | null): number | null {
    if (left === null) return null;
    const limit = this.#limitsOf(state).find((seconds) => seconds >= left);
    return limit === undefined ? null : (limit - left) * 1000;
  }

  #limitsOf(state: CarriedState): readonly number[] {
    let limits = this.#limits.get(state);
    if (limits === undefined) {
      const [usual = null, ...others] = state.timeouts.map(this.#setting);
      const shorter = others.filter((other) => usual !== null && other !== null && other < usual);
      limits = [...shorter, usual].filter((seconds) => seconds !== null).sort((a, b) => a - b);
      this.#limits.set(state, limits);
    }
    return limits;
  }
}
