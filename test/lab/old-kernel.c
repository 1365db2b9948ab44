/*
 * Loaded before the C library, makes the kernel look older than it is: it does not have what KERNEL_LACKS names. Calls are
 * missing in threads only, as Node's own event loop has no life without some of them.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static int lacks(const char *what) {
  const char *list = getenv("KERNEL_LACKS");
  return list != NULL && strstr(list, what) != NULL;
}

static int lacks_call(const char *name) {
  return syscall(SYS_gettid) != getpid() && lacks(name);
}

static int refuse(int code) {
  errno = code;
  return -1;
}

/* Before Linux 4.18: ip_cmsg_send and ip6_datagram_send_ctl skip control messages of other levels. */
ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
  struct msghdr copy = *message;
  if (lacks("UDP_SEGMENT")) {
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR((struct msghdr *)message, c))
      if (c->cmsg_level == IPPROTO_UDP) copy.msg_controllen = (char *)c - (char *)message->msg_control;
  }
  return syscall(SYS_sendmsg, fd, &copy, flags);
}

/* Before Linux 4.15. */
int setsockopt(int fd, int level, int option, const void *value, socklen_t length) {
  if (level == IPPROTO_IPV6 && option == 78 && lacks("IPV6_FREEBIND")) return refuse(ENOPROTOOPT);
  return syscall(SYS_setsockopt, fd, level, option, value, length);
}

int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags) {
  if (lacks_call("accept4")) return refuse(ENOSYS);
  return syscall(SYS_accept4, fd, address, length, flags);
}

int recvmmsg(int fd, struct mmsghdr *headers, unsigned count, int flags, struct timespec *timeout) {
  if (lacks_call("recvmmsg")) return refuse(ENOSYS);
  return syscall(SYS_recvmmsg, fd, headers, count, flags, timeout);
}

int sendmmsg(int fd, struct mmsghdr *headers, unsigned count, int flags) {
  if (lacks_call("sendmmsg")) return refuse(ENOSYS);
  return syscall(SYS_sendmmsg, fd, headers, count, flags);
}

/* What splice says of a file that cannot do it. */
ssize_t splice(int in, off64_t *in_offset, int out, off64_t *out_offset, size_t length, unsigned flags) {
  if (lacks_call("splice")) return refuse(EINVAL);
  return syscall(SYS_splice, in, in_offset, out, out_offset, length, flags);
}

/* No kernel lacks this; a sandbox may forbid it. */
int fcntl(int fd, int command, ...) {
  va_list arguments;
  va_start(arguments, command);
  long argument = va_arg(arguments, long);
  va_end(arguments);
  if (command == F_SETFL && lacks("F_SETFL")) return refuse(EPERM);
  return syscall(SYS_fcntl, fd, command, argument);
}
