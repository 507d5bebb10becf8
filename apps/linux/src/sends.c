// unix(7), sendmsg(2), recvmsg(2), cmsg(3): descriptors, credentials, what is cut off; names; SOCK_SEQPACKET
#include "show.h"
#include <linux/sockios.h>
#include <stddef.h>
static char b[100], control[2000];
static struct iovec part = {b, sizeof b};
static struct msghdr m;
static int put(int s, int level, int type, const void *data, int length) {
  memset(control, 0, sizeof control);
  m = (struct msghdr){.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE(length)};
  struct cmsghdr *h = CMSG_FIRSTHDR(&m);
  h->cmsg_level = level, h->cmsg_type = type, h->cmsg_len = CMSG_LEN(length);
  memcpy(CMSG_DATA(h), data, length);
  part.iov_len = 1;
  return sendmsg(s, &m, MSG_DONTWAIT);
}
static int put_fds(int s, int n) {
  int fds[300];
  for (int i = 0; i < 300; i++)
    fds[i] = 0;
  return put(s, SOL_SOCKET, SCM_RIGHTS, fds, n * 4);
}
// What comes: bytes, flags, and each part of the control data.
static void get(int s, int length, int space, int flags) {
  memset(control, 0, sizeof control);
  m = (struct msghdr){.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = space};
  part.iov_len = length, errno = 0;
  int n = recvmsg(s, &m, flags | MSG_DONTWAIT);
  printf("got %d %s flags %x control %d:", n, errno ? strerrorname_np(errno) : "-", m.msg_flags, n < 0 ? 0 : (int)m.msg_controllen);
  for (struct cmsghdr *h = n < 0 ? 0 : CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h)) {
    int bytes = h->cmsg_len - CMSG_LEN(0);
    printf(" %d/%d %d", h->cmsg_level, h->cmsg_type, bytes);
    if (h->cmsg_type == SCM_RIGHTS)
      for (int i = 0; i < bytes / 4; i++) {
        int fd = ((int *)CMSG_DATA(h))[i];
        if (i < 2)
          printf(" fd%d", fcntl(fd, F_GETFD));
        close(fd);
      }
    if (h->cmsg_type == SCM_CREDENTIALS) {
      struct ucred *u = (void *)CMSG_DATA(h);
      printf(" %s %d %d", u->pid == getpid() ? "self" : u->pid ? "other" : "0", u->uid, u->gid);
    }
  }
  puts("");
}
static void name_of(int s, int peer) {
  struct sockaddr_un a;
  socklen_t n = sizeof a;
  errno = 0;
  memset(&a, 0, sizeof a);
  int r = peer ? getpeername(s, (void *)&a, &n) : getsockname(s, (void *)&a, &n);
  printf("%s: %d %s %d family %d %s\n", peer ? "peer" : "name", r, errno ? strerrorname_np(errno) : "-", r ? 0 : (int)n, a.sun_family, a.sun_path[0] ? a.sun_path : a.sun_path + 1);
}
static int bound(int type, const char *path, int length) {
  struct sockaddr_un a = {.sun_family = AF_UNIX};
  memcpy(a.sun_path, path, length);
  int s = socket(AF_UNIX, type, 0);
  return bind(s, (void *)&a, offsetof(struct sockaddr_un, sun_path) + length) ? -1 : s;
}
static int joined(int s, const char *path, int length) {
  struct sockaddr_un a = {.sun_family = AF_UNIX};
  memcpy(a.sun_path, path, length);
  return connect(s, (void *)&a, offsetof(struct sockaddr_un, sun_path) + length);
}
static int number(int s, int option) {
  int n = -5;
  socklen_t l = 4;
  return getsockopt(s, SOL_SOCKET, option, &n, &l) ? -errno : n;
}
int main(void) {
  signal(SIGPIPE, SIG_IGN);
  system("rm -rf /tmp/sends; mkdir /tmp/sends");
  chdir("/tmp/sends");
  int s[2], d[2], q[2], on = 1, off = 0, n;
  socketpair(AF_UNIX, SOCK_STREAM, 0, s), socketpair(AF_UNIX, SOCK_DGRAM, 0, d), socketpair(AF_UNIX, SOCK_SEQPACKET, 0, q);
  // Descriptors.
  SHOW(put_fds(s[0], 2)); get(s[1], 9, 2000, 0);
  SHOW(put_fds(s[0], 253)); get(s[1], 9, 2000, MSG_CMSG_CLOEXEC);
  SHOW(put_fds(s[0], 254));
  SHOW(put_fds(s[0], 0)); get(s[1], 9, 2000, 0);
  SHOW(put_fds(s[0], 3)); get(s[1], 9, CMSG_LEN(4), 0);
  SHOW(put_fds(s[0], 3)); get(s[1], 9, CMSG_LEN(8), 0);
  SHOW(put_fds(s[0], 3)); get(s[1], 9, CMSG_LEN(0), 0);
  SHOW(put_fds(s[0], 3)); get(s[1], 9, 10, 0);
  SHOW(put_fds(s[0], 3)); get(s[1], 9, 0, 0);
  SHOW(put_fds(s[0], 1)); get(s[1], 9, 2000, MSG_PEEK); get(s[1], 9, 2000, 0);
  SHOW(put_fds(d[0], 1)); get(d[1], 0, 2000, 0);
  SHOW(put_fds(q[0], 1)); get(q[1], 0, 2000, MSG_PEEK); get(q[1], 9, 2000, 0);
  SHOW(put_fds(s[0], 1)); SHOW(put_fds(s[0], 1)); get(s[1], 9, 2000, 0); get(s[1], 9, 2000, 0);
  SHOW(put(s[0], SOL_SOCKET, SCM_RIGHTS, &(int){-1}, 4));
  SHOW(put(s[0], SOL_SOCKET, SCM_RIGHTS, "abc", 3));
  SHOW(put(s[0], SOL_SOCKET, 77, &on, 4));
  SHOW(put(s[0], 77, SCM_RIGHTS, &on, 4)); get(s[1], 9, 2000, 0);
  int path = open(".", O_PATH);
  SHOW(put(s[0], SOL_SOCKET, SCM_RIGHTS, &path, 4)); get(s[1], 9, 2000, 0);
  memset(control, 0, sizeof control);
  m = (struct msghdr){.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = 24};
  struct cmsghdr *h = (void *)control;
  h->cmsg_level = SOL_SOCKET, h->cmsg_type = SCM_RIGHTS, h->cmsg_len = 5;
  SHOW(sendmsg(s[0], &m, MSG_DONTWAIT));
  h->cmsg_len = 100;
  SHOW(sendmsg(s[0], &m, MSG_DONTWAIT));
  h->cmsg_len = 20, m.msg_control = (void *)8;
  SHOW(sendmsg(s[0], &m, MSG_DONTWAIT));
  m.msg_controllen = 1L << 40;
  SHOW(sendmsg(s[0], &m, MSG_DONTWAIT));
  m.msg_controllen = 4, m.msg_control = control;
  SHOW(sendmsg(s[0], &m, MSG_DONTWAIT)); get(s[1], 9, 100, 0);
  // No bytes go with them on a stream.
  part.iov_len = 0, memset(control, 0, 100), h->cmsg_len = 20, h->cmsg_level = SOL_SOCKET, h->cmsg_type = SCM_RIGHTS, m.msg_controllen = 24;
  SHOW(sendmsg(s[0], &m, 0)); get(s[1], 9, 100, 0);
  part.iov_len = 0, memset(control, 0, 100), h->cmsg_len = 20, h->cmsg_level = SOL_SOCKET, h->cmsg_type = SCM_RIGHTS, m.msg_controllen = 24;
  SHOW(sendmsg(d[0], &m, 0)); get(d[1], 9, 100, 0);
  // Credentials.
  struct ucred u = {getpid(), 0, 0}, wrong = {99999, 0, 0}, other = {getpid(), 5, 6};
  SHOW(put(s[0], SOL_SOCKET, SCM_CREDENTIALS, &u, sizeof u)); get(s[1], 9, 100, 0);
  SHOW(setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &on, 4) ?: number(s[1], SO_PASSCRED));
  SHOW(put(s[0], SOL_SOCKET, SCM_CREDENTIALS, &u, sizeof u)); get(s[1], 9, 100, 0);
  SHOW(put(s[0], SOL_SOCKET, SCM_CREDENTIALS, &other, sizeof u)); get(s[1], 9, 100, 0);
  SHOW(put(s[0], SOL_SOCKET, SCM_CREDENTIALS, &wrong, sizeof u));
  SHOW(put(s[0], SOL_SOCKET, SCM_CREDENTIALS, &u, 8));
  SHOW(send(s[0], "x", 1, 0)); get(s[1], 9, 100, 0);
  SHOW(send(s[0], "x", 1, 0)); get(s[1], 9, CMSG_LEN(4), 0);
  SHOW(send(s[0], "x", 1, 0)); get(s[1], 9, 0, 0);
  SHOW(put_fds(s[0], 1)); get(s[1], 9, 100, 0);
  SHOW(send(s[0], "a", 1, 0));
  SHOW(put(s[0], SOL_SOCKET, SCM_CREDENTIALS, &other, sizeof u)); get(s[1], 9, 100, 0); get(s[1], 9, 100, 0);
  fflush(stdout);
  if (!fork()) {
    setgid(7), setuid(7);
    struct ucred root = {getpid(), 0, 7};
    SHOW(put(s[0], SOL_SOCKET, SCM_CREDENTIALS, &root, sizeof u));
    SHOW(send(s[0], "x", 1, 0));
    fflush(stdout);
    _exit(0);
  }
  wait(0), get(s[1], 9, 100, 0);
  setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &off, 4);
  // Messages that are cut, and their ends.
  send(d[0], "datagram", 8, 0), get(d[1], 3, 0, 0);
  send(d[0], "datagram", 8, 0), get(d[1], 3, 0, MSG_TRUNC);
  send(d[0], "datagram", 8, 0), get(d[1], 3, 0, MSG_TRUNC | MSG_PEEK), get(d[1], 20, 0, 0);
  send(d[0], "", 0, 0), get(d[1], 3, 0, 0);
  send(q[0], "packet", 6, MSG_EOR), get(q[1], 3, 0, 0);
  send(q[0], "packet", 6, 0), get(q[1], 20, 0, 0);
  send(q[0], "", 0, 0), get(q[1], 3, 0, 0);
  send(s[0], "stream", 6, 0), get(s[1], 3, 0, MSG_TRUNC), get(s[1], 9, 0, 0);
  get(d[1], 9, 0, MSG_OOB), get(q[1], 9, 0, MSG_ERRQUEUE);
  SHOW(send(d[0], "x", 1, MSG_OOB));
  SHOW(send(d[0], b, 1 << 30, MSG_DONTWAIT));
  SHOW(send(s[0], (void *)8, 1, 0));
  SHOW(send(d[0], (void *)8, 1, 0));
  SHOW(send(s[0], "x", 0, 0)); get(s[1], 9, 0, 0);
  // How much there is.
  send(s[0], "abc", 3, 0), send(s[0], "de", 2, 0), send(d[0], "abc", 3, 0), send(d[0], "de", 2, 0), send(q[0], "abc", 3, 0), send(q[0], "de", 2, 0);
  SHOW(ioctl(s[1], SIOCINQ, &n) ?: n);
  SHOW(ioctl(d[1], SIOCINQ, &n) ?: n);
  SHOW(ioctl(q[1], SIOCINQ, &n) ?: n);
  SHOW((ioctl(s[0], SIOCOUTQ, &n) ?: n) > 0);
  SHOW(ioctl(s[1], SIOCOUTQ, &n) ?: n);
  for (int i = 0; i < 2; i++)
    get(s[1], 9, 0, 0), get(d[1], 9, 0, 0), get(q[1], 9, 0, 0);
  // Options.
  int types[] = {s[0], d[0], q[0]}, options[] = {SO_TYPE, SO_DOMAIN, SO_PROTOCOL, SO_ERROR, SO_ACCEPTCONN, SO_REUSEADDR, SO_KEEPALIVE, SO_BROADCAST, SO_PRIORITY, SO_OOBINLINE, SO_DONTROUTE, SO_SNDLOWAT, SO_PASSSEC, SO_MARK, SO_BUSY_POLL, 999};
  for (int i = 0; i < 3; i++)
    for (int k = 0; k < 16; k++)
      printf("option %d of %d: %d\n", options[k], i, number(types[i], options[k]));
  SHOW(setsockopt(s[0], SOL_SOCKET, SO_TYPE, &on, 4));
  SHOW(setsockopt(s[0], SOL_SOCKET, 999, &on, 4));
  SHOW(setsockopt(s[0], 77, 1, &on, 4));
  SHOW(setsockopt(s[0], 6, 1, &on, 4));
  SHOW(setsockopt(s[0], SOL_SOCKET, SO_PASSCRED, &on, 3));
  SHOW(setsockopt(s[0], SOL_SOCKET, SO_PASSCRED, (void *)8, 4));
  SHOW(setsockopt(s[0], SOL_SOCKET, SO_KEEPALIVE, &on, 4) ?: number(s[0], SO_KEEPALIVE));
  SHOW(setsockopt(s[0], SOL_SOCKET, SO_LINGER, &on, 4));
  SHOW(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){0, 1000000}, sizeof(struct timeval)));
  SHOW(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){-1, 0}, sizeof(struct timeval)));
  SHOW(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){0, 0}, 8));
  socklen_t l = -1;
  SHOW(getsockopt(s[0], SOL_SOCKET, SO_TYPE, &n, &l));
  l = 1;
  SHOW(getsockopt(s[0], SOL_SOCKET, SO_TYPE, &n, &l) ?: (int)l);
  SHOW(getsockopt(s[0], SOL_SOCKET, SO_TYPE, (void *)8, &(socklen_t){4}));
  struct ucred peer;
  l = 4;
  SHOW(getsockopt(s[0], SOL_SOCKET, SO_PEERCRED, &peer, &l) ?: (int)l);
  l = sizeof peer;
  SHOW(getsockopt(socket(AF_UNIX, SOCK_STREAM, 0), SOL_SOCKET, SO_PEERCRED, &peer, &l) ?: peer.pid * 100 + (int)peer.uid);
  l = sizeof peer;
  SHOW(getsockopt(d[0], SOL_SOCKET, SO_PEERCRED, &peer, &l) ?: peer.pid == getpid());
  // Names.
  name_of(s[0], 0), name_of(s[0], 1), name_of(socket(AF_UNIX, SOCK_STREAM, 0), 0), name_of(socket(AF_UNIX, SOCK_STREAM, 0), 1);
  int one = bound(SOCK_STREAM, "one", 3), two = bound(SOCK_DGRAM, "two", 4), three = bound(SOCK_SEQPACKET, "\0three", 6), automatic = bound(SOCK_DGRAM, "", 0);
  name_of(one, 0), name_of(two, 0), name_of(three, 0);
  struct sockaddr_un a;
  l = sizeof a;
  SHOW(getsockname(automatic, (void *)&a, &l) ?: (int)l);
  SHOW(bound(SOCK_STREAM, "\0three", 6));
  SHOW(bound(SOCK_STREAM, "one", 3));
  SHOW(bound(SOCK_STREAM, "/none/x", 8));
  SHOW(bound(SOCK_STREAM, "", 1) >= 0);
  SHOW(bind(one, (void *)&a, 1));
  SHOW(bind(one, (void *)&a, 200));
  a.sun_family = 77;
  SHOW(bind(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&a, 10));
  SHOW(bind(socket(AF_UNIX, SOCK_STREAM, 0), (void *)8, 10));
  int c = socket(AF_UNIX, SOCK_STREAM, 0), e = socket(AF_UNIX, SOCK_DGRAM, 0);
  SHOW(joined(c, "one", 3));
  SHOW(joined(c, "two", 3));
  SHOW(joined(c, "\0three", 6));
  SHOW(joined(c, ".", 1));
  SHOW(joined(c, "none", 4));
  SHOW(joined(c, "\0none", 5));
  SHOW(listen(two, 1));
  SHOW(listen(one, -1));
  SHOW(joined(one, "one", 3));
  SHOW(joined(c, "one", 3));
  SHOW(joined(c, "one", 3));
  SHOW(listen(c, 1));
  name_of(c, 1), name_of(c, 0);
  l = sizeof a;
  int accepted = accept(one, (void *)&a, &l);
  SHOW(l);
  name_of(accepted, 0), name_of(accepted, 1);
  SHOW(accept4(one, 0, 0, 77));
  SHOW(accept(c, 0, 0));
  SHOW(accept(two, 0, 0));
  SHOW(sendto(c, "x", 1, 0, (void *)&a, 2));
  SHOW(sendto(e, "x", 1, 0, 0, 0));
  SHOW(sendto(e, "x", 1, 0, (void *)&a, 1));
  SHOW(joined(e, "two", 3));
  SHOW(joined(e, "one", 3));
  SHOW(send(e, "hi", 2, 0));
  get(two, 9, 0, 0);
  SHOW(joined(two, "two", 3));
  SHOW(send(two, "me", 2, 0)); get(two, 9, 0, 0);
  SHOW(send(e, "hi", 2, 0));
  struct sockaddr none = {AF_UNSPEC};
  SHOW(connect(e, &none, sizeof none));
  SHOW(send(e, "hi", 2, 0));
  SHOW(connect(c, &none, sizeof none));
  // Who is connected to another hears nobody else.
  int f = socket(AF_UNIX, SOCK_DGRAM, 0), g = bound(SOCK_DGRAM, "\0g", 2);
  SHOW(joined(g, "two", 3));
  SHOW(joined(f, "\0g", 2));
  // Access to the name.
  chmod("one", 0600), chmod("/tmp/sends", 0755);
  fflush(stdout);
  if (!fork()) {
    setuid(9);
    SHOW(joined(socket(AF_UNIX, SOCK_STREAM, 0), "one", 3));
    SHOW(joined(socket(AF_UNIX, SOCK_DGRAM, 0), "two", 3));
    SHOW(bound(SOCK_STREAM, "mine", 4));
    fflush(stdout);
    _exit(0);
  }
  wait(0);
  // Several at once.
  struct iovec parts[3] = {{"a", 1}, {"bc", 2}, {"def", 3}};
  struct mmsghdr mm[3] = {{{.msg_iov = parts, .msg_iovlen = 1}}, {{.msg_iov = parts + 1, .msg_iovlen = 1}}, {{.msg_iov = parts + 2, .msg_iovlen = 1}}};
  SHOW(sendmmsg(d[0], mm, 3, 0) * 1000 + mm[0].msg_len * 100 + mm[1].msg_len * 10 + mm[2].msg_len);
  char rooms[4][2];
  struct iovec places[4] = {{rooms[0], 2}, {rooms[1], 2}, {rooms[2], 2}, {rooms[3], 2}};
  struct mmsghdr in[4];
  memset(in, 0, sizeof in);
  for (int i = 0; i < 4; i++)
    in[i].msg_hdr.msg_iov = places + i, in[i].msg_hdr.msg_iovlen = 1;
  SHOW(recvmmsg(d[1], in, 4, MSG_DONTWAIT, 0));
  SHOW(in[0].msg_len * 100 + in[1].msg_len * 10 + in[2].msg_len);
  SHOW(in[2].msg_hdr.msg_flags);
  SHOW(recvmmsg(d[1], in, 4, MSG_DONTWAIT, 0));
  SHOW(recvmmsg(d[1], in, 4, 0, &(struct timespec){0, -1}));
  SHOW(sendmmsg(d[0], mm, 0, 0));
  mm[1].msg_hdr.msg_iov = (void *)8;
  SHOW(sendmmsg(d[0], mm, 3, 0));
  SHOW(recvmmsg(d[1], in, 4, MSG_WAITFORONE, 0));
  SHOW(sendmsg(d[0], (void *)8, 0));
  m = (struct msghdr){.msg_iov = parts, .msg_iovlen = 2000};
  SHOW(sendmsg(d[0], &m, 0));
  m = (struct msghdr){.msg_iov = 0, .msg_iovlen = 0};
  SHOW(sendmsg(d[0], &m, 0)); get(d[1], 9, 0, 0);
  // What came is lost with the peer that one misses or leaves.
  for (int how = 0; how < 3; how++) {
    int e[2], third = bound(SOCK_DGRAM, (char[]){0, 't', '0' + how}, 3), value = -1;
    socketpair(AF_UNIX, SOCK_DGRAM, 0, e);
    SHOW(send(e[1], "came", 4, 0));
    if (how == 0) {
      close(e[1]);
      SHOW(recv(e[0], b, 1, MSG_PEEK | MSG_DONTWAIT));
      SHOW(send(e[0], "x", 1, 0));
    } else
      SHOW(how == 1 ? connect(e[0], &(struct sockaddr){AF_UNSPEC}, sizeof(struct sockaddr)) : joined(e[0], (char[]){0, 't', '2'}, 3));
    SHOW(recv(e[0], b, 9, MSG_DONTWAIT));
    SHOW(send(e[0], "x", 1, MSG_DONTWAIT));
    value = number(e[1], SO_ERROR);
    SHOW(how ? value : 0);
    SHOW(how ? send(e[1], "x", 1, MSG_DONTWAIT) : 0);
    close(e[0]), close(third);
  }
}
