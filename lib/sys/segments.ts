import { EPOLLIN, MSG_DONTWAIT } from './constants.js';
import type { DatagramSender } from './datagramsender.js';
import { Epoll } from './epoll.js';
import { checked, SysError } from './errno.js';
import * as libc from './libc.js';
import { listenDatagram } from './listening.js';
import { Memory } from './memory.js';
import { closeSocket, connect, localAddress } from './socket.js';

const SEGMENT_SIZE = 64;
const LOOPBACK = { address: '127.0.0.1', port: 0, sharing: 'nobody', freeBind: false } as const;
const BUFFER_SIZE = 65536;
/**
 * Milliseconds of one wait, and the most waits. Loopback delivers at once, except on a busy machine, where
 * the kernel's thread must get its turn first.
 */
const WAIT_MS = 20;
const MAX_WAITS = 100;

/**
 * Sends a run from a socket to itself and checks what arrives. Before Linux 4.18 the kernel does not refuse
 * UDP_SEGMENT: it skips control messages of an unknown level (ip_cmsg_send), and the run arrives as one
 * datagram.
 * @param sender a sender that uses UDP_SEGMENT
 * @returns whether the datagrams of a run arrive one by one; false also if the test is not possible
 */
export function doSegmentsArrive(sender: DatagramSender): boolean {
  try {
    const fd = listenDatagram(LOOPBACK, BUFFER_SIZE);
    try {
      checked('connect', connect(fd, localAddress(fd)));
      return doesRunArriveAt(fd, sender);
    } finally {
      closeSocket(fd);
    }
  } catch (error) {
    if (error instanceof SysError) return false;
    throw error;
  }
}

/** @param fd a socket that is connected to its own address */
function doesRunArriveAt(fd: number, sender: DatagramSender): boolean {
  const run = new Memory(2 * SEGMENT_SIZE);
  sender.push(run, 0, SEGMENT_SIZE);
  sender.push(run, SEGMENT_SIZE, SEGMENT_SIZE);
  sender.sendConnected(fd);
  return sender.segments === 'sent' && lengthOfNext(fd, run) === SEGMENT_SIZE;
}

function lengthOfNext(fd: number, buffer: Memory): number {
  const epoll = new Epoll(1);
  try {
    epoll.add(fd, EPOLLIN, 0);
    for (let wait = 0; wait < MAX_WAITS && epoll.wait(WAIT_MS) === 0; wait++);
    return libc.recv(fd, buffer.address, buffer.bytes.length, MSG_DONTWAIT);
  } finally {
    epoll.close();
  }
}
