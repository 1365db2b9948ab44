import t, { type Test } from 'tap';
import { AF_UNIX, IPPROTO_UDP, MSG_DONTWAIT, SOCK_CLOEXEC, SOCK_DGRAM } from '../../../lib/sys/constants.js';
import { checked, EEXIST, ENOENT, ENOMEM, EPERM } from '../../../lib/sys/errno.js';
import * as libc from '../../../lib/sys/libc.js';
import { Memory } from '../../../lib/sys/memory.js';
import { FlowBatch } from '../../../lib/sys/netlink/flowbatch.js';
import { decodeMessages, NLMSG_ERROR } from '../../../lib/sys/netlink/messages.js';
import { SocketAddress } from '../../../lib/sys/sockaddr.js';

const UNIX_ADDRESS_SIZE = 110;

/** A Unix socket for datagrams, bound to a name that the kernel chooses (unix(7), autobind). */
function boundSocket(): { fd: number; name: Memory; length: number } {
  const fd = checked('socket', libc.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const name = new Memory(UNIX_ADDRESS_SIZE);
  name.view.setUint16(0, AF_UNIX, true);
  checked('bind', libc.bindSocket(fd, name.address, 2));
  const length = new Memory(4);
  length.words[0] = UNIX_ADDRESS_SIZE;
  checked('getsockname', libc.getsockname(fd, name.address, length.address));
  return { fd, name, length: length.words[0] as number };
}

type Answer = readonly [commit: number, position: number, code: number];

/** Stands for the kernel at the other end of a batch's socket. */
class ScriptedKernel {
  /** The answers to the next datagrams. */
  readonly script: Answer[][] = [];
  readonly batch: FlowBatch;
  readonly #own = boundSocket();
  readonly #memory = new Memory(65536);

  constructor() {
    const own = this.#own;
    const other = boundSocket();
    checked('connect', libc.connect(own.fd, other.name.address, other.length));
    checked('connect', libc.connect(other.fd, own.name.address, own.length));
    const answerNext = () => this.#answerNext();
    this.batch = new FlowBatch({
      // The batch asks for the descriptor when it sends. The answers then come at once, like the kernel's.
      get fd() {
        answerNext();
        return other.fd;
      },
      close: () => libc.close(other.fd),
    });
  }

  #answerNext(): void {
    const { words, address } = this.#memory;
    for (const [commit, position, code] of this.script.shift() ?? []) {
      words.set([36, NLMSG_ERROR, (commit << 16) | position, 0, -code, 0, 0, 0, 0]);
      checked('send', libc.send(this.#own.fd, address, 36, 0));
    }
  }

  /** The positions of the messages in each datagram that the batch has sent. */
  received(): number[][] {
    const all: number[][] = [];
    for (;;) {
      const length = libc.recv(this.#own.fd, this.#memory.address, 65536, MSG_DONTWAIT);
      if (length < 0) return all;
      const datagram = new DataView(this.#memory.view.buffer, 0, length);
      all.push(decodeMessages(datagram).map(({ sequence }) => sequence & 0xffff));
    }
  }

  close(): void {
    this.batch.close();
    libc.close(this.#own.fd);
  }
}

const CLIENT = SocketAddress.of('10.0.0.1', 1);
const VIP = SocketAddress.of('10.96.0.1', 80);

/** Commits `count` flows that are replaced. @returns the codes of the positions, and the commit's own last */
function commit({ batch }: ScriptedKernel, count: number): number[] {
  for (let i = 0; i < count; i++) batch.replace(IPPROTO_UDP, CLIENT, VIP, CLIENT, null, 1);
  const code = batch.commit();
  return [...Array.from({ length: count }, (_, position) => batch.codeOf(position)), code];
}

function withKernel(name: string, check: (kernel: ScriptedKernel, t: Test) => void): void {
  t.test(name, async (t) => {
    const kernel = new ScriptedKernel();
    check(kernel, t);
    kernel.close();
  });
}

withKernel('without an answer, all has been done', (kernel, t) => {
  t.same(commit(kernel, 3), [0, 0, 0, 0]);
  t.same(kernel.received(), [[0, 0, 1, 1, 2, 2]]);
});

withKernel('an error belongs to its position, and a flow that was not there is none', (kernel, t) => {
  kernel.script.push([
    [0, 0, ENOENT],
    [0, 1, ENOENT],
    [0, 1, ENOMEM],
    [0, 2, ENOENT],
  ]);
  t.same(commit(kernel, 3), [0, ENOMEM, 0, 0]);
  t.same(kernel.received(), [[0, 0, 1, 1, 2, 2]], 'a full table is not asked again');
});

withKernel('what another packet prevented is repeated, the rest is not', (kernel, t) => {
  kernel.script.push(
    [
      [0, 1, EEXIST],
      [0, 3, EEXIST],
    ],
    [[0, 3, EEXIST]],
    [[0, 3, EEXIST]],
  );
  t.same(commit(kernel, 4), [0, 0, 0, 0, 0]);
  t.same(kernel.received(), [
    [0, 0, 1, 1, 2, 2, 3, 3],
    [1, 1, 3, 3],
    [3, 3],
    [3, 3],
  ]);
});

withKernel('after four repetitions it is an error', (kernel, t) => {
  kernel.script.push(...Array.from({ length: 5 }, (): Answer[] => [[0, 0, EEXIST]]));
  t.same(commit(kernel, 2), [EEXIST, 0, 0]);
  t.equal(kernel.received().length, 5);
  kernel.script.push([]);
  t.same(commit(kernel, 2), [0, 0, 0]);
});

withKernel('a late answer to an earlier commit is not taken for one to this', (kernel, t) => {
  t.same(commit(kernel, 1), [0, 0]);
  kernel.script.push([
    [0, 0, ENOMEM],
    [1, 1, ENOMEM],
  ]);
  t.same(commit(kernel, 2), [0, ENOMEM, 0]);
});

withKernel('a refusal of the whole datagram is the result of all its positions', (kernel, t) => {
  kernel.script.push([[0, 0, EPERM]]);
  t.same(commit(kernel, 2), [EPERM, EPERM, EPERM]);
  t.same(commit(kernel, 2), [0, 0, 0]);
});

withKernel('commits are numbered anew after 65,536 of them', (kernel, t) => {
  for (let i = 0; i < 65_536; i++) {
    kernel.batch.end(IPPROTO_UDP, CLIENT, VIP);
    kernel.batch.commit();
    if (i % 8 === 0) kernel.received();
  }
  kernel.script.push([[0, 0, ENOMEM]]);
  t.same(commit(kernel, 1), [ENOMEM, 0]);
});
