import koffi from 'koffi';

/**
 * All C functions that kube-portal calls.
 *
 * Symbols come from the running process, which already contains libc, so the same code works with glibc and
 * musl. Lengths are declared `uint32_t` and results `int` even where C says `size_t` and `ssize_t`: no call
 * here moves 2 GiB, and 32-bit values stay small integers in V8 instead of becoming heap numbers. Addresses
 * are `uintptr_t` and travel as plain numbers (below 2^53 on every supported machine).
 */
const process_ = koffi.load(null);

type Call<Args extends unknown[]> = (...args: Args) => number;

function bind<Args extends unknown[]>(prototype: string): Call<Args> {
  return process_.func(prototype) as unknown as Call<Args>;
}

type Fd = number;
type Address = number;

export const read = bind<[fd: Fd, buffer: Address, length: number]>('int read(int, uintptr_t, uint32_t)');
export const write = bind<[fd: Fd, buffer: Address, length: number]>('int write(int, uintptr_t, uint32_t)');
export const close = bind<[fd: Fd]>('int close(int)');
export const fcntl = bind<[fd: Fd, command: number, argument: number]>('int fcntl(int, int, int)');
export const fchown = bind<[fd: Fd, user: number, group: number]>('int fchown(int, uint32_t, uint32_t)');
export const flock = bind<[fd: Fd, operation: number]>('int flock(int, int)');
export const pipe2 = bind<[fds: Address, flags: number]>('int pipe2(uintptr_t, int)');
export const splice = bind<
  [source: Fd, sourceOffset: Address, target: Fd, targetOffset: Address, length: number, flags: number]
>('int splice(int, uintptr_t, int, uintptr_t, uint32_t, uint32_t)');

export const socket = bind<[domain: number, type: number, protocol: number]>('int socket(int, int, int)');
export const bindSocket = bind<[fd: Fd, address: Address, length: number]>(
  'int bind(int, uintptr_t, uint32_t)',
);
export const listen = bind<[fd: Fd, backlog: number]>('int listen(int, int)');
export const connect = bind<[fd: Fd, address: Address, length: number]>(
  'int connect(int, uintptr_t, uint32_t)',
);
export const accept = bind<[fd: Fd, address: Address, length: Address]>(
  'int accept(int, uintptr_t, uintptr_t)',
);
export const accept4 = bind<[fd: Fd, address: Address, length: Address, flags: number]>(
  'int accept4(int, uintptr_t, uintptr_t, int)',
);
export const shutdown = bind<[fd: Fd, how: number]>('int shutdown(int, int)');
export const getsockname = bind<[fd: Fd, address: Address, length: Address]>(
  'int getsockname(int, uintptr_t, uintptr_t)',
);
export const getpeername = bind<[fd: Fd, address: Address, length: Address]>(
  'int getpeername(int, uintptr_t, uintptr_t)',
);
export const getsockopt = bind<[fd: Fd, level: number, option: number, value: Address, length: Address]>(
  'int getsockopt(int, int, int, uintptr_t, uintptr_t)',
);
export const setsockopt = bind<[fd: Fd, level: number, option: number, value: Address, length: number]>(
  'int setsockopt(int, int, int, uintptr_t, uint32_t)',
);

export const send = bind<[fd: Fd, buffer: Address, length: number, flags: number]>(
  'int send(int, uintptr_t, uint32_t, int)',
);
export const recv = bind<[fd: Fd, buffer: Address, length: number, flags: number]>(
  'int recv(int, uintptr_t, uint32_t, int)',
);
export const sendmsg = bind<[fd: Fd, header: Address, flags: number]>('int sendmsg(int, uintptr_t, int)');
export const recvmsg = bind<[fd: Fd, header: Address, flags: number]>('int recvmsg(int, uintptr_t, int)');
export const sendmmsg = bind<[fd: Fd, headers: Address, count: number, flags: number]>(
  'int sendmmsg(int, uintptr_t, uint32_t, int)',
);
export const recvmmsg = bind<[fd: Fd, headers: Address, count: number, flags: number, timeout: Address]>(
  'int recvmmsg(int, uintptr_t, uint32_t, int, uintptr_t)',
);

export const epollCreate1 = bind<[flags: number]>('int epoll_create1(int)');
export const epollCtl = bind<[epoll: Fd, operation: number, fd: Fd, event: Address]>(
  'int epoll_ctl(int, int, int, uintptr_t)',
);
export const epollWait = bind<[epoll: Fd, events: Address, capacity: number, timeoutMs: number]>(
  'int epoll_wait(int, uintptr_t, int, int)',
);
export const eventfd = bind<[initial: number, flags: number]>('int eventfd(uint32_t, int)');

/** C libraries have no function for bpf(2), so it is called by number. */
export const bpf = bind<[number: number, command: number, attributes: Address, size: number]>(
  'int syscall(long, int, uintptr_t, uint32_t)',
);

/**
 * On 32-bit machines, getrlimit of glibc has 32-bit limits, and getrlimit64 has 64-bit limits. musl has only
 * getrlimit, with 64-bit limits.
 */
function bindRlimit(name: string): Call<[resource: number, limits: Address]> {
  try {
    return bind(`int ${name}64(int, uintptr_t)`);
  } catch {
    return bind(`int ${name}(int, uintptr_t)`);
  }
}
export const getrlimit = bindRlimit('getrlimit');
export const setrlimit = bindRlimit('setrlimit');

export const unshare = bind<[flags: number]>('int unshare(int)');

export const exit = bind<[code: number]>('int _exit(int)');

/** Address of the calling thread's `errno` (glibc and musl share this name). */
export const errnoLocation = bind<[]>('uintptr_t __errno_location()');

/** A function that only glibc has. Null with other C libraries. */
function bindGlibc<Args extends unknown[]>(prototype: string): Call<Args> | null {
  try {
    return bind<Args>(prototype);
  } catch {
    return null;
  }
}
export const mallopt = bindGlibc<[parameter: number, value: number]>('int mallopt(int, int)');
export const madvise = bind<[address: Address, length: number, advice: number]>(
  'int madvise(uintptr_t, uint32_t, int)',
);
