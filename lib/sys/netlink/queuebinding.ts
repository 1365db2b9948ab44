import { readFileSync } from 'node:fs';
import { EBUSY, EPERM, SysError } from '../errno.js';
import { preferOption } from '../options.js';
import { setReceiveBuffer, setSendBuffer } from '../socket.js';
import { attribute, uint32 } from './attributes.js';
import { Exchange } from './exchange.js';
import { encodeRequest, NLM_F_ACK } from './messages.js';
import { netfilterHeader } from './nfnetlink.js';
import { NETLINK_NETFILTER, NetlinkSocket } from './socket.js';
import { atOnce } from './steps.js';

/** linux/netfilter/nfnetlink_queue.h: a message of NFNL_SUBSYS_QUEUE, its attributes and their values. */
const NFQNL_MSG_CONFIG = 0x302;
const NFQA_CFG_CMD = 1;
const NFQA_CFG_PARAMS = 2;
const NFQA_CFG_QUEUE_MAXLEN = 3;
const NFQA_CFG_MASK = 4;
const NFQA_CFG_FLAGS = 5;
const NFQNL_CFG_CMD_BIND = 1;
const NFQNL_COPY_PACKET = 2;
const NFQA_CFG_F_FAIL_OPEN = 1;
const NFQA_CFG_F_GSO = 4;

/** linux/netlink.h. */
const SOL_NETLINK = 270;
const NETLINK_NO_ENOBUFS = 5;

/** The queues of this network namespace: number, netlink port of the program that has it, and counters. */
const QUEUES = '/proc/thread-self/net/netfilter/nfnetlink_queue';

export interface QueueBinding {
  /** Bytes of each packet that are received, from the IP header on. */
  readonly copied: number;
  /** Bytes of kernel memory for packets that wait. */
  readonly waiting: number;
  /** Bytes of the longest datagram of verdicts. */
  readonly verdicts: number;
  /** Whether packets come without the work that is left to devices: a checksum, and the division of a run. */
  readonly areUnfinished: boolean;
}

/**
 * Binds a packet queue to a new socket. While the buffer is full, packets pass as if they had been accepted
 * (NFQA_CFG_F_FAIL_OPEN).
 *
 * The buffer is the only limit: of packets that it has no room for, the kernel keeps a count, of those above
 * the queue's length with FAIL_OPEN it keeps none (__nfqnl_enqueue_packet). With NETLINK_NO_ENOBUFS the
 * socket takes packets again as soon as there is room, else only after all that wait were received
 * (netlink_overrun).
 *
 * @throws SysError: EBUSY if another program has the queue, EPERM without CAP_NET_ADMIN, EINVAL if the kernel
 *   has no packet queues (CONFIG_NETFILTER_NETLINK_QUEUE)
 */
export function bindQueue(queue: number, binding: QueueBinding): NetlinkSocket {
  const { copied, waiting, verdicts } = binding;
  const socket = new NetlinkSocket(NETLINK_NETFILTER);
  const exchange = new Exchange(() => socket);
  try {
    // The kernel makes it twice as large, for what messages take beside their content (socket(7)).
    setReceiveBuffer(socket.fd, waiting / 2);
    setSendBuffer(socket.fd, verdicts);
    preferOption(socket.fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, 1);
    const [code] = atOnce(exchange.change([bindRequest(queue, binding)]));
    if (code !== 0) throw refusal(queue, code);
    // Packets come from now on. There is no answer, so none of them is taken for it.
    socket.send([copyRequest(queue, copied)]);
    return socket;
  } catch (error) {
    // An exchange that fails has closed the socket already, and closes it once only.
    exchange.close();
    throw error;
  }
}

function bindRequest(queue: number, { waiting, areUnfinished }: QueueBinding): Uint8Array {
  const flags = NFQA_CFG_F_FAIL_OPEN | (areUnfinished ? NFQA_CFG_F_GSO : 0);
  return encodeRequest(
    NFQNL_MSG_CONFIG,
    NLM_F_ACK,
    netfilterHeader(0, queue),
    attribute(NFQA_CFG_CMD, [NFQNL_CFG_CMD_BIND, 0, 0, 0]),
    uint32(NFQA_CFG_QUEUE_MAXLEN, waiting),
    uint32(NFQA_CFG_MASK, flags),
    uint32(NFQA_CFG_FLAGS, flags),
  );
}

/** struct nfqnl_msg_config_params: range u32 in network order, mode u8. */
function copyRequest(queue: number, copied: number): Uint8Array {
  const range = [copied >>> 24, (copied >>> 16) & 0xff, (copied >>> 8) & 0xff, copied & 0xff];
  return encodeRequest(
    NFQNL_MSG_CONFIG,
    0,
    netfilterHeader(0, queue),
    attribute(NFQA_CFG_PARAMS, [...range, NFQNL_COPY_PACKET]),
  );
}

/** The kernel answers EPERM both without rights and if another socket has the queue. */
function refusal(queue: number, code: number): SysError {
  const holder = code === EPERM || code === EBUSY ? holderOf(queue) : null;
  if (holder === null) return new SysError(`packet queue ${queue}`, code);
  return new SysError(`packet queue ${queue}, which another program has (netlink port ${holder})`, EBUSY);
}

/** The netlink port of the socket that has a queue. Null if nobody has it, or if the kernel does not tell. */
function holderOf(queue: number): string | null {
  try {
    const rows = readFileSync(QUEUES, 'latin1').split('\n');
    const row = rows.map((line) => line.trim().split(/\s+/)).find(([number]) => number === String(queue));
    return row?.[1] ?? null;
  } catch {
    return null;
  }
}
