// unix(7)
#include "show.h"
#include <sys/sendfile.h>
static int pass(int socket, int fd) {
  char c = 'x', control[CMSG_SPACE(sizeof(int))] = {0};
  struct iovec part = {&c, 1};
  struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  struct cmsghdr *h = CMSG_FIRSTHDR(&m);
  h->cmsg_level = SOL_SOCKET;
  h->cmsg_type = SCM_RIGHTS;
  h->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(h), &fd, sizeof fd);
  return sendmsg(socket, &m, 0);
}
static int take(int socket) {
  char c, control[CMSG_SPACE(sizeof(int))];
  struct iovec part = {&c, 1};
  struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  int fd = -1;
  if (recvmsg(socket, &m, 0) == 1 && CMSG_FIRSTHDR(&m))
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof fd);
  return fd;
}
// How many bytes come, and how many descriptors.
static int count(int socket, int most, int flags) {
  char c[9], control[256];
  struct iovec part = {c, most};
  struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  int bytes = recvmsg(socket, &m, flags), before = bytes * 100;
  struct cmsghdr *h = bytes < 0 ? 0 : CMSG_FIRSTHDR(&m);
  return before + (h ? (int)(h->cmsg_len - CMSG_LEN(0)) / (int)sizeof(int) : 0);
}
static int signals;
static void broken(int signal) { signals++; }
int main(void) {
  signal(SIGPIPE, SIG_IGN);
  int s[2];
  char b[100];
  SHOW(socketpair(AF_INET, SOCK_STREAM, 0, s));
  SHOW(socketpair(AF_UNIX, SOCK_STREAM, 5, s));
  SHOW(socketpair(AF_UNIX, 9, 0, s));
  SHOW(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
  SHOW(write(s[0], "hello", 5));
  SHOW(recv(s[1], b, 2, MSG_PEEK));
  SHOW(recv(s[1], b, 100, 0));
  SHOW(recv(s[1], b, 1, MSG_DONTWAIT));
  SHOW(send(s[0], "x", 1, MSG_OOB) == 1 || errno == EOPNOTSUPP);
  recv(s[1], b, 100, MSG_DONTWAIT);
  int p[2];
  pipe(p);
  SHOW(pass(s[0], p[1]));
  SHOW(pass(s[0], 99));
  int got = take(s[1]);
  IS(got > 0);
  close(p[1]);
  SHOW(write(got, "passed", 6));
  close(got);
  SHOW(read(p[0], b, 100));
  SHOW(read(p[0], b, 100));
  // Descriptors end what is received at once.
  SHOW(send(s[0], "aaaa", 4, 0));
  SHOW(pass(s[0], p[0]));
  SHOW(send(s[0], "cccc", 4, 0));
  SHOW(recv(s[1], b, 100, 0));
  SHOW(recv(s[1], b, 100, MSG_PEEK | MSG_WAITALL | MSG_DONTWAIT));
  SHOW(recv(s[1], b, 100, 0));
  SHOW(shutdown(s[0], SHUT_WR));
  SHOW(send(s[0], "x", 1, 0));
  SHOW(read(s[1], b, 1));
  SHOW(write(s[1], "back", 4));
  SHOW(read(s[0], b, 9));
  close(s[1]);
  SHOW(read(s[0], b, 9));
  SHOW(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
  SHOW(send(s[0], "lost", 4, 0));
  SHOW(send(s[1], "last", 4, 0));
  close(s[1]);
  SHOW(recv(s[0], b, 9, 0));
  SHOW(recv(s[0], b, 9, 0));
  SHOW(recv(s[0], b, 9, 0));
  SHOW(send(s[0], "x", 1, 0));
  SHOW(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s));
  send(s[0], "long", 4, 0);
  send(s[0], "b", 1, 0);
  SHOW(recv(s[1], b, 2, MSG_TRUNC));
  SHOW(recv(s[1], b, 2, 0));
  struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "/tmp/door"};
  socklen_t length = sizeof a;
  unlink("/tmp/door");
  int l = socket(AF_UNIX, SOCK_STREAM, 0), c = socket(AF_UNIX, SOCK_STREAM, 0);
  SHOW(connect(c, (void *)&a, length));
  SHOW(listen(l, 1));
  SHOW(bind(l, (void *)&a, length));
  SHOW(bind(l, (void *)&a, length));
  struct stat st;
  SHOW(stat("/tmp/door", &st));
  IS(S_ISSOCK(st.st_mode));
  SHOW(open("/tmp/door", O_RDWR));
  SHOW(connect(c, (void *)&a, length));
  SHOW(listen(l, 1));
  SHOW(connect(c, (void *)&a, length));
  int n = accept(l, (void *)&a, &length);
  IS(n > 0);
  SHOW(length);
  struct ucred who;
  length = sizeof who;
  SHOW(getsockopt(n, SOL_SOCKET, SO_PEERCRED, &who, &length));
  IS(who.pid == getpid() && who.uid == getuid());
  int other = socket(AF_UNIX, SOCK_STREAM, 0);
  a.sun_family = AF_UNIX;
  strcpy(a.sun_path, "/tmp/door");
  SHOW(bind(other, (void *)&a, sizeof a));
  unlink("/tmp/door");
  SHOW(connect(other, (void *)&a, sizeof a));
  int d = socket(AF_UNIX, SOCK_DGRAM, 0), e = socket(AF_UNIX, SOCK_DGRAM, 0);
  struct sockaddr_un z = {.sun_family = AF_UNIX, .sun_path = "\0secret"};
  SHOW(bind(d, (void *)&z, 9));
  SHOW(sendto(e, "dgram", 5, 0, (void *)&z, 9));
  SHOW(recv(d, b, 100, 0));
  SHOW(send(e, "x", 1, 0));
  SHOW(connect(e, (void *)&z, 9));
  SHOW(send(e, "x", 1, 0));
  close(d);
  SHOW(send(e, "x", 1, 0));
  SHOW(shutdown(e, SHUT_RDWR));
  SHOW(read(e, b, 1));
  // A connection waits for room.
  int full = socket(AF_UNIX, SOCK_STREAM, 0);
  strcpy(z.sun_path + 1, "fulled");
  SHOW(bind(full, (void *)&z, 9));
  SHOW(listen(full, 0));
  SHOW(connect(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&z, 9));
  SHOW(connect(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0), (void *)&z, 9));
  other = socket(AF_UNIX, SOCK_STREAM, 0);
  SHOW(setsockopt(other, SOL_SOCKET, SO_SNDTIMEO, &(struct timeval){0, 30000}, sizeof(struct timeval)));
  SHOW(connect(other, (void *)&z, 9));
  for (int closes = 0; closes < 2; closes++) {
    fflush(stdout);
    pid_t parent = getpid();
    if (fork() == 0) {
      becomes(parent, 'S');
      _exit(closes ? 0 : accept(full, 0, 0) < 0);
    }
    if (closes) {
      // The child has the last descriptor.
      pid_t waits = fork();
      if (waits == 0) {
        close(full);
        SHOW(connect(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&z, 9));
        _exit(0);
      }
      close(full);
    } else {
      SHOW(connect(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&z, 9));
    }
    while (wait(0) > 0)
      ;
  }
  // Descriptors come once a call, and end what is received at once.
  socketpair(AF_UNIX, SOCK_STREAM, 0, s);
  SHOW(pass(s[0], 0));
  send(s[0], "bbb", 3, 0);
  SHOW(count(s[1], 9, MSG_PEEK | MSG_WAITALL));
  SHOW(count(s[1], 9, MSG_WAITALL));
  SHOW(count(s[1], 9, MSG_PEEK | MSG_WAITALL));
  SHOW(fcntl(s[1], F_SETFL, O_NONBLOCK));
  SHOW(count(s[1], 9, MSG_WAITALL));
  SHOW(fcntl(s[1], F_SETFL, 0));
  // What a call waits for, and poll(2) does not.
  int number, names[3] = {SO_RCVBUF, SO_SNDBUF, SO_RCVLOWAT};
  for (int i = 0; i < 3; i++) {
    for (int value = 0; value <= 5000; value += 2500) {
      length = sizeof number;
      SHOW(getsockopt(s[1], SOL_SOCKET, names[i], &number, &length));
      SHOW(number);
      SHOW(setsockopt(s[1], SOL_SOCKET, names[i], &value, sizeof value));
    }
    SHOW(getsockopt(s[1], SOL_SOCKET, names[i], &number, &length));
    SHOW(number);
  }
  number = 3;
  SHOW(setsockopt(s[1], SOL_SOCKET, SO_RCVLOWAT, &number, sizeof number));
  send(s[0], "ab", 2, 0);
  struct pollfd ready = {s[1], POLLIN, 0};
  SHOW(poll(&ready, 1, 0));
  SHOW(recv(s[1], b, 9, MSG_DONTWAIT));
  struct timeval soon = {0, 100000};
  SHOW(setsockopt(s[1], SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon));
  send(s[0], "ab", 2, 0);
  long begun = ms();
  SHOW(read(s[1], b, 9));
  // Linux counts ticks, which may be behind the clock.
  IS(ms() - begun >= 50);
  send(s[0], "abcd", 4, 0);
  SHOW(read(s[1], b, 9));
  // Who listens is shut down.
  struct sockaddr_un y = {.sun_family = AF_UNIX, .sun_path = "\0listens"};
  int y_fd = socket(AF_UNIX, SOCK_STREAM, 0);
  SHOW(bind(y_fd, (void *)&y, 10) ?: listen(y_fd, 1));
  ready = (struct pollfd){y_fd, POLLIN | POLLOUT | POLLRDHUP, 0};
  SHOW(shutdown(y_fd, SHUT_WR) ?: poll(&ready, 1, 0) ?: ready.revents);
  SHOW(shutdown(y_fd, SHUT_RD) ?: poll(&ready, 1, 0));
  SHOW(ready.revents);
  // A signal is for who writes to a stream.
  signal(SIGPIPE, broken);
  int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
  for (int i = 0; i < 3; i++) {
    SHOW(socketpair(AF_UNIX, types[i], 0, s));
    shutdown(s[0], SHUT_WR);
    pipe(p);
    write(p[1], "x", 1);
    struct iovec part = {b, 1};
    SHOW(write(s[0], b, 1));
    SHOW(writev(s[0], &part, 1));
    SHOW(send(s[0], b, 1, 0));
    SHOW(splice(p[0], 0, s[0], 0, 1, 0));
    SHOW(signals);
  }
  // A copy waits no longer than the socket says.
  struct timeval ms = {0, 30000};
  SHOW(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
  setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &ms, sizeof ms);
  setsockopt(s[0], SOL_SOCKET, SO_SNDTIMEO, &ms, sizeof ms);
  SHOW(splice(s[0], 0, p[1], 0, 1, 0));
  int long_file = memfd_create("long", 0);
  ftruncate(long_file, 1 << 20);
  IS(sendfile(s[0], long_file, 0, 1 << 20) > 50000);
  SHOW(sendfile(s[0], long_file, 0, 1 << 20));
  int lone = socket(AF_UNIX, SOCK_STREAM, 0);
  SHOW(recv(lone, b, 1, 0));
  SHOW(shutdown(lone, SHUT_RDWR));
}
