import { execFileSync } from 'node:child_process';
import t from 'tap';
import { EAGAIN, EBUSY, EINVAL, ENOBUFS, ENOENT, ETIMEDOUT, SysError } from '../../../lib/sys/errno.js';
import { type Channel, Exchange } from '../../../lib/sys/netlink/exchange.js';
import {
  decodeMessages,
  encodeRequest,
  type Message,
  NLM_F_DUMP_INTR,
  NLMSG_DONE,
  NLMSG_ERROR,
} from '../../../lib/sys/netlink/messages.js';
import { NETLINK_ROUTE, NetlinkSocket } from '../../../lib/sys/netlink/socket.js';
import { atOnce, inTurns } from '../../../lib/sys/netlink/steps.js';

const ITEM = 100;

/** A fake kernel that gives prepared answers and records the requests. */
class ScriptedKernel {
  opened = 0;
  closed = 0;
  readonly #script: ((sequence: number) => readonly Message[])[];
  #sequence = 0;

  constructor(...script: ((sequence: number) => readonly Message[])[]) {
    this.#script = script;
  }

  readonly open = (): Channel => {
    this.opened++;
    return {
      send: (requests) => {
        const sent = requests.flatMap((request) => decodeMessages(new DataView(request.buffer)));
        this.#sequence = sent.at(0)?.sequence ?? 0;
      },
      receive: () => {
        const next = this.#script.shift();
        if (next === undefined) throw new SysError('netlink answer', ETIMEDOUT);
        return next(this.#sequence);
      },
      close: () => {
        this.closed++;
      },
    };
  };
}

function numbered(type: number, sequence: number, value: number, flags = 0): Message {
  const body = new DataView(new ArrayBuffer(4));
  body.setInt32(0, value, true);
  return { type, flags, sequence, body };
}

const done = (sequence: number, code = 0) => numbered(NLMSG_DONE, sequence, -code);
const acknowledged = (sequence: number, code = 0) => numbered(NLMSG_ERROR, sequence, -code);
const item = (sequence: number, value: number, flags = 0) => numbered(ITEM, sequence, value, flags);
const numberIn = (body: DataView) => body.getInt32(0, true);
const request = () => encodeRequest(1, 0);

t.test('an answer to another request is ignored', async (t) => {
  const kernel = new ScriptedKernel((sequence) => [
    item(sequence - 1, 1),
    item(sequence + 1, 2),
    item(sequence, 3),
  ]);
  t.equal(numberIn(new Exchange(kernel.open).ask(request())), 3);
});

t.test('a wait goes on after a signal interrupted it', async (t) => {
  const kernel = new ScriptedKernel(
    () => [],
    (sequence) => [item(sequence, 3)],
  );
  t.equal(numberIn(new Exchange(kernel.open).ask(request())), 3);
});

t.test('acknowledgements belong to their requests in any order', async (t) => {
  const kernel = new ScriptedKernel(
    (first) => [acknowledged(first + 2, ENOENT), acknowledged(first - 1, EINVAL)],
    (first) => [acknowledged(first), acknowledged(first + 2, ENOENT), acknowledged(first + 1, EINVAL)],
  );
  const codes = atOnce(new Exchange(kernel.open).change([request(), request(), request()]));
  t.same(codes, [0, EINVAL, ENOENT]);
});

t.test('a list that changed while the kernel made it is requested again', async (t) => {
  const kernel = new ScriptedKernel(
    (sequence) => [item(sequence, 1), item(sequence, 2, NLM_F_DUMP_INTR)],
    (sequence) => [done(sequence)],
    (sequence) => [item(sequence, 5)],
    (sequence) => [item(sequence, 6), done(sequence)],
  );
  t.same(await inTurns(new Exchange(kernel.open).list(request(), numberIn)), [5, 6]);
});

t.test('a list that changes in each try is an error', async (t) => {
  const changing = (sequence: number) => [item(sequence, 1, NLM_F_DUMP_INTR), done(sequence)];
  const kernel = new ScriptedKernel(...new Array(1000).fill(changing));
  const listing = inTurns(new Exchange(kernel.open).list(request(), numberIn));
  await t.rejects(listing, { code: EAGAIN });
});

t.test('a list that ends with an error is an error', async (t) => {
  const kernel = new ScriptedKernel((sequence) => [item(sequence, 1), done(sequence, EINVAL)]);
  t.throws(() => atOnce(new Exchange(kernel.open).list(request(), numberIn)), { code: EINVAL });
});

t.test('an exchange that fails closes its socket, and the next exchange opens another one', async (t) => {
  for (const code of [ETIMEDOUT, ENOBUFS]) {
    const kernel = new ScriptedKernel(
      () => {
        throw new SysError('netlink answer', code);
      },
      (sequence) => [item(sequence, 3)],
    );
    const exchange = new Exchange(kernel.open);
    t.throws(() => exchange.ask(request()), { code });
    t.same([kernel.opened, kernel.closed], [1, 1]);
    t.equal(numberIn(exchange.ask(request())), 3);
    t.same([kernel.opened, kernel.closed], [2, 1]);
  }
});

t.test('a refused request leaves the socket open', async (t) => {
  const kernel = new ScriptedKernel((sequence) => [acknowledged(sequence, ENOENT)]);
  const exchange = new Exchange(kernel.open);
  t.throws(() => exchange.ask(request()), { code: ENOENT });
  t.same([kernel.opened, kernel.closed], [1, 0]);
});

t.test('a second exchange at the same time is refused, and the first one succeeds', async (t) => {
  const kernel = new ScriptedKernel(
    (sequence) => [item(sequence, 1)],
    (sequence) => [item(sequence, 2), done(sequence)],
    (sequence) => [item(sequence, 3)],
  );
  const exchange = new Exchange(kernel.open);
  const listing = inTurns(exchange.list(request(), numberIn));
  t.throws(() => exchange.ask(request()), { code: EBUSY });
  t.same(await listing, [1, 2]);
  t.equal(numberIn(exchange.ask(request())), 3);
});

t.test('an exchange ends with a time-out if the kernel does not answer', async (t) => {
  const socket = new NetlinkSocket(NETLINK_ROUTE);
  t.teardown(() => socket.close());
  t.equal(socket.receiveAtOnce(), null);
  t.throws(() => socket.receive(), { code: ETIMEDOUT });
});

t.test('an exchange with the real kernel succeeds while signals interrupt it', async (t) => {
  const module = import.meta.resolve('../../../lib/sys/netlink/rtnetlink.js');
  const script = `
    import { RouteSocket } from '${module}';
    const routes = new RouteSocket();
    console.log((await routes.addresses()).length > 0 && typeof routes.isLoopbackUp());
  `;
  const interrupted = ['-e', 'trace=recvfrom', '-e', 'inject=recvfrom:error=EINTR:when=1..3'];
  const command = ['-f', '-qq', '-o', '/dev/null', ...interrupted, process.execPath, '--input-type=module'];
  t.equal(execFileSync('strace', [...command, '-e', script], { encoding: 'utf8' }), 'boolean\n');
});
