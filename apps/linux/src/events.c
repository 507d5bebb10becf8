// inotify(7), epoll(7), poll(2), eventfd(2), select(2): what each kind of file is ready for, and what is told of files
#include "show.h"
#include <sys/inotify.h>
static char room[8192];
static void told(int n) {
  int got = read(n, room, sizeof room);
  if (got < 0)
    printf("  %s\n", strerrorname_np(errno));
  uint32_t cookies[2] = {0, 0};
  for (int at = 0; at < got;) {
    struct inotify_event *e = (void *)(room + at);
    int which = 0;
    if (e->cookie) {
      if (!cookies[0])
        cookies[0] = e->cookie;
      which = e->cookie == cookies[0] ? 1 : 2;
    }
    printf("  wd %d mask %x cookie %d len %d %s\n", e->wd, e->mask, which, e->len, e->len ? e->name : "");
    at += sizeof *e + e->len;
  }
}
#define DO(what) printf("%s: %d\n", #what, (int)(what) < 0 ? -errno : 0), told(n)
static void watches(void) {
  char b[10];
  system("rm -rf /tmp/events; mkdir /tmp/events");
  chdir("/tmp/events");
  mkdir("d", 0700), mkdir("o", 0700);
  int n = inotify_init1(IN_NONBLOCK), f;
  SHOW(inotify_add_watch(n, "d", IN_ALL_EVENTS));
  SHOW(inotify_add_watch(n, "o", IN_ALL_EVENTS & ~IN_CLOSE));
  DO(close(open("d/f", O_CREAT | O_RDWR, 0600)));
  SHOW(inotify_add_watch(n, "d/f", IN_ALL_EVENTS));
  DO(f = open("d/f", O_RDWR));
  DO(write(f, "hello", 5));
  DO(write(f, "", 0));
  DO(pread(f, b, 5, 0));
  DO(pread(f, b, 5, 100));
  DO(ftruncate(f, 2));
  DO(truncate("d/f", 1));
  DO(fchmod(f, 0640));
  DO(fchown(f, 1, 1));
  DO(futimens(f, 0));
  DO(fsync(f));
  DO(fallocate(f, 0, 0, 10));
  DO(close(f));
  DO(link("d/f", "d/g"));
  DO(rename("d/g", "d/h"));
  DO(rename("d/h", "o/h"));
  DO(rename("o/h", "d/f"));
  DO(symlink("f", "d/l"));
  DO(mkdir("d/sub", 0700));
  DO(chmod("d/sub", 0750));
  DO(rename("d/sub", "o/sub"));
  DO(rmdir("o/sub"));
  DO(mkfifo("d/fifo", 0600));
  DO(close(open("d", O_RDONLY)));
  int folder = open("d", O_RDONLY);
  told(n);
  DO(syscall(SYS_getdents64, folder, room, sizeof room));
  DO(close(folder));
  DO(renameat2(AT_FDCWD, "d/f", AT_FDCWD, "d/l", RENAME_EXCHANGE));
  DO(renameat2(AT_FDCWD, "d/f", AT_FDCWD, "d/l", RENAME_EXCHANGE));
  DO(rename("d/f", "d/f2"));
  DO(unlink("d/f2"));
  DO(chmod("d", 0755));
  DO(rename("d", "e"));
  DO(unlink("e/l") | unlink("e/fifo"));
  DO(rmdir("e"));
  SHOW(inotify_rm_watch(n, 1));
  // Once, and no more of one kind.
  SHOW(inotify_add_watch(n, "o", IN_CREATE | IN_ONESHOT));
  DO(mkdir("o/a", 0700));
  DO(mkdir("o/b", 0700));
  int w = inotify_add_watch(n, "o", IN_CREATE);
  SHOW(w);
  SHOW(inotify_add_watch(n, "o", IN_DELETE | IN_MASK_ADD) == w);
  DO(rmdir("o/a"));
  SHOW(inotify_add_watch(n, "o", IN_DELETE) == w);
  DO(mkdir("o/a", 0700));
  // The same again is told once.
  close(open("o/x", O_CREAT | O_RDWR, 0600));
  f = open("o/x", O_RDWR);
  SHOW(inotify_add_watch(n, "o/x", IN_MODIFY | IN_ATTRIB));
  DO(write(f, "a", 1) + write(f, "b", 1) + write(f, "c", 1));
  DO(write(f, "a", 1) + fchmod(f, 0600) + write(f, "c", 1));
  DO(close(f));
  DO(unlink("o/x"));
  // Too little room, and what is left.
  close(open("o/y", O_CREAT | O_RDWR, 0600)), unlink("o/y");
  mkdir("o/c", 0700), rmdir("o/c"), rmdir("o/b");
  int left;
  SHOW(ioctl(n, FIONREAD, &left) ?: left);
  SHOW(read(n, room, 16));
  SHOW(read(n, room, 31));
  SHOW(read(n, room, 64));
  SHOW(ioctl(n, FIONREAD, &left) ?: left);
  SHOW(inotify_rm_watch(n, w));
  told(n);
  SHOW(inotify_add_watch(n, "/dev/null", IN_MODIFY) > 0);
  DO(close(open("/dev/null", O_WRONLY)));
  SHOW(inotify_add_watch(n, ".", IN_DONT_FOLLOW | IN_EXCL_UNLINK | IN_CREATE) > 0);
  SHOW(lseek(n, 0, SEEK_SET));
  SHOW(write(n, "x", 1));
}
// What a file is ready for: by poll(2), and whether an epoll takes it.
static int ep;
static void ready(const char *what, int fd) {
  struct pollfd p = {fd, POLLIN | POLLOUT | POLLPRI | POLLRDHUP | POLLRDNORM | POLLWRNORM | POLLRDBAND | POLLWRBAND, 0};
  struct epoll_event e = {EPOLLIN, {0}};
  int n = poll(&p, 1, 0), added = epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
  printf("%s: poll %d %x epoll %s\n", what, n, p.revents & ~POLLWRBAND, added ? strerrorname_np(errno) : "yes");
  if (!added)
    epoll_ctl(ep, EPOLL_CTL_DEL, fd, 0);
}
static void kinds(void) {
  ep = epoll_create1(0);
  ready("epoll", epoll_create1(0));
  ready("file", open("/tmp/events", O_RDWR | O_TMPFILE, 0600));
  ready("folder", open("/tmp", O_RDONLY));
  ready("null", open("/dev/null", O_RDWR));
  ready("zero", open("/dev/zero", O_RDWR));
  ready("full", open("/dev/full", O_RDWR));
  ready("proc", open("/proc/self/stat", O_RDONLY));
  ready("memfd", memfd_create("m", 0));
  ready("eventfd", eventfd(0, 0));
  ready("eventfd 1", eventfd(1, 0));
  int e = eventfd(0, EFD_NONBLOCK);
  write(e, &(uint64_t){UINT64_MAX - 1}, 8);
  ready("eventfd full", e);
  int t = timerfd_create(CLOCK_MONOTONIC, 0);
  ready("timerfd", t);
  timerfd_settime(t, 0, &(struct itimerspec){{0, 0}, {0, 1}}, 0), arrives(t, POLLIN);
  ready("timerfd over", t);
  ready("inotify", inotify_init());
  ready("pidfd", syscall(SYS_pidfd_open, getpid(), 0));
  int p[2];
  pipe(p);
  ready("pipe read", p[0]), ready("pipe write", p[1]);
  write(p[1], room, 10), ready("pipe full of 10", p[0]);
  fcntl(p[1], F_SETFL, O_NONBLOCK);
  while (write(p[1], room, 4096) > 0)
    ;
  ready("pipe write full", p[1]);
  close(p[0]), ready("pipe write alone", p[1]);
  pipe(p), close(p[1]), ready("pipe read alone", p[0]);
  int s[2];
  for (int type = SOCK_STREAM; type <= SOCK_SEQPACKET; type++) {
    if (socketpair(AF_UNIX, type, 0, s))
      continue;
    printf("type %d\n", type);
    ready("pair", s[0]);
    send(s[1], "x", 1, 0), ready("with bytes", s[0]);
    shutdown(s[1], SHUT_WR), ready("other shut", s[0]), ready("self shut", s[1]);
    shutdown(s[0], SHUT_RD), ready("read shut", s[0]);
    close(s[1]), ready("other gone", s[0]);
    shutdown(s[0], SHUT_RDWR), ready("both", s[0]);
    close(s[0]);
    ready("new", socket(AF_UNIX, type, 0));
    ready("new inet", socket(AF_INET, type, 0));
  }
}
static struct epoll_event got[8];
static int waits(int set) {
  memset(got, 0, sizeof got);
  int n = epoll_wait(set, got, 8, 0);
  printf("wait: %d:", n);
  for (int i = 0; i < n; i++)
    printf(" %d %x", got[i].data.fd, got[i].events);
  puts("");
  return n;
}
static int add(int set, int fd, uint32_t events, int data) {
  struct epoll_event e = {events, {.fd = data}};
  return epoll_ctl(set, EPOLL_CTL_ADD, fd, &e);
}
static int mod(int set, int fd, uint32_t events, int data) {
  struct epoll_event e = {events, {.fd = data}};
  return epoll_ctl(set, EPOLL_CTL_MOD, fd, &e);
}
static void epolls(void) {
  int a = epoll_create1(0), b = epoll_create1(0), p[2], e = eventfd(0, EFD_NONBLOCK), s[2];
  uint64_t one = 1;
  char c[100];
  pipe2(p, O_NONBLOCK), socketpair(AF_UNIX, SOCK_STREAM, 0, s);
  // Edges of an eventfd: each write is one.
  SHOW(add(a, e, EPOLLIN | EPOLLOUT | EPOLLET, 1));
  waits(a), waits(a);
  write(e, &one, 8), waits(a), waits(a);
  write(e, &one, 8), waits(a);
  read(e, &one, 8), waits(a), waits(a);
  SHOW(mod(a, e, EPOLLIN | EPOLLET, 1));
  waits(a);
  write(e, &one, 8);
  SHOW(mod(a, e, EPOLLIN | EPOLLET, 2));
  waits(a), waits(a);
  SHOW(mod(a, e, EPOLLIN | EPOLLET, 3));
  waits(a), waits(a);
  // Edges of a pipe: parts that are left are told no more.
  SHOW(add(a, p[0], EPOLLIN | EPOLLET, 4));
  waits(a);
  write(p[1], "ab", 2), waits(a), read(p[0], c, 1), waits(a);
  write(p[1], "c", 1), waits(a), waits(a);
  SHOW(add(a, p[1], EPOLLOUT | EPOLLET, 5));
  waits(a), waits(a);
  while (write(p[1], room, 4096) > 0)
    ;
  waits(a);
  read(p[0], c, 100), waits(a);
  while (read(p[0], room, 4096) > 0)
    ;
  waits(a), waits(a);
  // Ends.
  close(p[1]), waits(a), waits(a);
  // Sockets.
  SHOW(add(a, s[0], EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, 6));
  waits(a);
  send(s[1], "x", 1, 0), waits(a), waits(a);
  send(s[1], "y", 1, 0), waits(a), recv(s[0], c, 9, 0), waits(a);
  shutdown(s[1], SHUT_WR), waits(a), waits(a);
  close(s[1]), waits(a), waits(a);
  // Once.
  int q[2];
  pipe(q);
  SHOW(add(b, q[0], EPOLLIN | EPOLLONESHOT | EPOLLET, 7));
  write(q[1], "x", 1), waits(b), write(q[1], "y", 1), waits(b);
  SHOW(mod(b, q[0], EPOLLIN | EPOLLONESHOT, 8));
  waits(b), waits(b);
  close(q[1]), waits(b);
  SHOW(mod(b, q[0], 0, 8));
  waits(b);
  // Nested, with edges.
  int c1 = epoll_create1(0), c2 = epoll_create1(0), x = eventfd(0, 0);
  SHOW(add(c1, x, EPOLLIN, 9) ?: add(c2, c1, EPOLLIN | EPOLLET, 10));
  waits(c2);
  write(x, &one, 8), waits(c2), waits(c2), waits(c1);
  write(x, &one, 8), waits(c2), read(x, &one, 8), waits(c2), waits(c1);
  struct pollfd pf = {c1, POLLIN | POLLOUT, 0};
  SHOW(poll(&pf, 1, 0));
  write(x, &one, 8);
  SHOW(poll(&pf, 1, 0) * 1000 + pf.revents);
  // Too deep, and round.
  int deep[8];
  for (int i = 0; i < 8; i++)
    deep[i] = epoll_create1(0);
  for (int i = 0; i < 7; i++)
    SHOW(add(deep[i + 1], deep[i], EPOLLIN, i));
  SHOW(add(deep[0], deep[3], EPOLLIN, 0));
  // One file by two descriptors, and by one that was closed.
  int d = epoll_create1(0), y = eventfd(1, 0), z = dup(y);
  SHOW(add(d, y, EPOLLIN, 11) ?: add(d, z, EPOLLIN, 12));
  SHOW(waits(d));
  close(y);
  SHOW(waits(d));
  SHOW(add(d, z, EPOLLIN, 13));
  SHOW(mod(d, y, EPOLLIN, 13));
  int again = dup2(z, y);
  SHOW(mod(d, again, EPOLLIN, 14));
  SHOW(epoll_ctl(d, EPOLL_CTL_DEL, again, 0));
  close(again);
  SHOW(waits(d));
  // Who comes first.
  int r = epoll_create1(0), all[5];
  for (int i = 0; i < 5; i++)
    all[i] = eventfd(0, 0), add(r, all[i], EPOLLIN, i);
  for (int i = 4; i >= 0; i--)
    write(all[i], &one, 8);
  waits(r);
  SHOW(epoll_wait(r, got, 2, 0) * 100 + got[0].data.fd * 10 + got[1].data.fd);
  SHOW(epoll_wait(r, got, 2, 0) * 100 + got[0].data.fd * 10 + got[1].data.fd);
  SHOW(epoll_wait(r, got, 2, 0) * 100 + got[0].data.fd * 10 + got[1].data.fd);
  read(all[2], &one, 8), waits(r);
  // Exclusive ones.
  int ex = eventfd(0, 0);
  SHOW(add(r, ex, EPOLLIN | EPOLLEXCLUSIVE | EPOLLET, 20));
  SHOW(mod(r, ex, EPOLLIN, 20));
  SHOW(add(r, epoll_create1(0), EPOLLIN | EPOLLEXCLUSIVE, 20));
  SHOW(add(a, ex, EPOLLEXCLUSIVE | EPOLLRDHUP, 21));
  SHOW(epoll_ctl(r, EPOLL_CTL_DEL, ex, (void *)8));
  SHOW(epoll_wait(r, got, 1 << 30, 0));
  SHOW(epoll_wait(r, got, INT32_MAX / 12 + 1, 0) >= 0 || errno == EINVAL);
  SHOW(syscall(SYS_epoll_pwait2, r, got, 8, &(struct timespec){0, 0}, 0, 8));
  SHOW(syscall(SYS_epoll_pwait2, r, got, 8, &(struct timespec){-1, 0}, 0, 8));
  SHOW(syscall(SYS_epoll_pwait2, r, got, 8, 8, 0, 8));
  SHOW(syscall(SYS_epoll_create, 1) > 0);
  SHOW(fcntl(epoll_create1(EPOLL_CLOEXEC), F_GETFD));
}
int main(void) {
  watches();
  kinds();
  epolls();
}
