// fcntl(2): record locks, locks of open files, leases, owners, pipes' sizes; flock(2)
#include "show.h"
#include <sys/file.h>
static int lock(int fd, int call, int type, int whence, long start, long length) {
  struct flock l = {.l_type = type, .l_whence = whence, .l_start = start, .l_len = length};
  return fcntl(fd, call, &l);
}
// Who holds what a lock would meet.
static void who(int fd, int call, int type, long start, long length) {
  struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length, .l_pid = 0};
  errno = 0;
  int got = fcntl(fd, call, &l);
  printf("who %d %ld+%ld: %d %s: type %d whence %d %ld+%ld %s\n", type, start, length, got, errno ? strerrorname_np(errno) : "-", l.l_type,
         l.l_whence, (long)l.l_start, (long)l.l_len, l.l_pid == getppid() ? "parent" : l.l_pid == getpid() ? "self" : l.l_pid == -1 ? "-1" : l.l_pid ? "other" : "0");
}
static void child(void (*what)(int)) {
  fflush(stdout);
  pid_t id = fork();
  if (!id) {
    int f = open("f", O_RDWR);
    what(f);
    fflush(stdout);
    _exit(0);
  }
  waitpid(id, 0, 0);
}
static void looks(int f) {
  who(f, F_GETLK, F_WRLCK, 0, 0);
  who(f, F_GETLK, F_RDLCK, 0, 0);
  who(f, F_GETLK, F_RDLCK, 0, 10);
  who(f, F_GETLK, F_WRLCK, 15, 1);
  who(f, F_GETLK, F_WRLCK, 40, 0);
  who(f, F_OFD_GETLK, F_WRLCK, 0, 0);
}
static void ofd(int f) {
  who(f, F_GETLK, F_WRLCK, 0, 0);
  who(f, F_OFD_GETLK, F_WRLCK, 0, 0);
  SHOW(lock(f, F_SETLK, F_WRLCK, SEEK_SET, 0, 1));
  SHOW(lock(f, F_OFD_SETLK, F_RDLCK, SEEK_SET, 0, 1));
}
static int inherited;
static void heir(int f) {
  (void)f;
  SHOW(lock(inherited, F_OFD_SETLK, F_WRLCK, SEEK_SET, 0, 1));
  SHOW(lock(inherited, F_OFD_SETLK, F_UNLCK, SEEK_SET, 2, 1));
}
static void timed(int f) {
  signal(SIGALRM, (void (*)(int))looks);
  SHOW(lock(f, F_SETLK, F_WRLCK, SEEK_SET, 0, 1));
}
static void none(int s) { (void)s; }
static void waits(int f) {
  struct sigaction a = {.sa_handler = none};
  sigaction(SIGALRM, &a, 0);
  rings(1);
  SHOW(lock(f, F_SETLKW, F_WRLCK, SEEK_SET, 0, 1));
  SHOW(lock(f, F_OFD_SETLKW, F_WRLCK, SEEK_SET, 0, 1));
  rings(0);
}
static void flocks(int f) {
  SHOW(flock(f, LOCK_EX | LOCK_NB));
  SHOW(flock(inherited, LOCK_SH | LOCK_NB));
  SHOW(flock(inherited, LOCK_UN));
  SHOW(flock(f, LOCK_EX | LOCK_NB));
}
int main(void) {
  system("rm -rf /tmp/records; mkdir /tmp/records");
  chdir("/tmp/records");
  int f = open("f", O_CREAT | O_RDWR, 0600), g = open("f", O_RDWR), ro = open("f", O_RDONLY), wo = open("f", O_WRONLY), p[2];
  write(f, "0123456789", 10);
  pipe(p);
  SHOW(lock(f, F_SETLK, F_WRLCK, SEEK_CUR, -5, 5));
  SHOW(lock(f, F_SETLK, F_WRLCK, SEEK_END, -10, 5));
  SHOW(lock(f, F_SETLK, F_WRLCK, SEEK_SET, 20, -5));
  SHOW(lock(f, F_SETLK, F_WRLCK, SEEK_SET, 3, -5));
  SHOW(lock(f, F_SETLK, F_WRLCK, SEEK_CUR, -11, 1));
  SHOW(lock(f, F_SETLK, F_WRLCK, SEEK_SET, 0x7fffffffffffffff, 1));
  SHOW(lock(f, F_SETLK, F_UNLCK, SEEK_SET, 0x7fffffffffffffff, 1));
  SHOW(lock(f, F_SETLK, F_WRLCK, SEEK_SET, 0x7fffffffffffffff, 2));
  SHOW(lock(f, F_SETLK, F_WRLCK, SEEK_END, 0x7fffffffffffffff, 1));
  SHOW(lock(f, F_SETLK, F_WRLCK, SEEK_SET, 0, (long)(1UL << 63)));
  SHOW(lock(f, F_SETLK, F_RDLCK, SEEK_SET, 30, 10));
  SHOW(lock(f, F_GETLK, F_UNLCK, SEEK_SET, 30, 10));
  SHOW(lock(f, F_OFD_GETLK, F_UNLCK, SEEK_SET, 30, 10));
  SHOW(lock(wo, F_SETLK, F_RDLCK, SEEK_SET, 50, 10));
  SHOW(lock(ro, F_SETLK, F_WRLCK, SEEK_SET, 50, 10));
  SHOW(lock(ro, F_GETLK, F_WRLCK, SEEK_SET, 50, 10));
  who(f, F_GETLK, F_WRLCK, 0, 0);
  who(f, F_OFD_GETLK, F_WRLCK, 0, 0);
  child(looks);
  // What is cut out of the middle, and changed.
  SHOW(lock(f, F_SETLK, F_UNLCK, SEEK_SET, 0, 0));
  SHOW(lock(f, F_SETLK, F_WRLCK, SEEK_SET, 0, 30));
  SHOW(lock(f, F_SETLK, F_RDLCK, SEEK_SET, 10, 10));
  child(looks);
  SHOW(lock(f, F_SETLK, F_UNLCK, SEEK_SET, 0, 10));
  child(looks);
  close(wo);
  child(looks);
  // Locks of open files.
  SHOW(lock(f, F_OFD_SETLK, F_RDLCK, SEEK_SET, 0, 4));
  SHOW(lock(g, F_OFD_SETLK, F_RDLCK, SEEK_SET, 2, 4));
  SHOW(lock(g, F_OFD_SETLK, F_WRLCK, SEEK_SET, 2, 4));
  SHOW(lock(g, F_SETLK, F_WRLCK, SEEK_SET, 5, 4));
  who(g, F_OFD_GETLK, F_WRLCK, 0, 0);
  who(f, F_GETLK, F_WRLCK, 0, 0);
  child(ofd);
  SHOW(lock(g, F_OFD_SETLK, F_UNLCK, SEEK_SET, 0, 0));
  SHOW(lock(f, F_OFD_SETLK, F_WRLCK, SEEK_SET, 0, 4));
  inherited = f;
  child(heir);
  child(ofd);
  child(waits);
  SHOW(dup2(f, 50));
  SHOW(close(f));
  child(ofd);
  SHOW(close(50));
  child(timed);
  f = open("f", O_RDWR);
  SHOW(flock(f, LOCK_EX));
  inherited = f;
  child(flocks);
  child(timed);
  SHOW(flock(g, LOCK_SH | LOCK_NB));
  SHOW(flock(ro, LOCK_EX | LOCK_NB));
  int d = open(".", O_RDONLY);
  SHOW(flock(d, LOCK_EX | LOCK_NB));
  SHOW(lock(d, F_SETLK, F_RDLCK, SEEK_SET, 0, 1));
  SHOW(lock(d, F_SETLK, F_WRLCK, SEEK_SET, 0, 1));
  close(ro), close(g), close(f);
  // What any file takes.
  f = open("f", O_RDWR);
  int s[2];
  socketpair(AF_UNIX, SOCK_STREAM, 0, s);
  int pid = 0;
  int on = 1;
  SHOW(ioctl(s[0], FIONBIO, &on) ?: fcntl(s[0], F_GETFL) & O_NONBLOCK);
  SHOW(ioctl(s[0], FIONBIO, 8));
  SHOW(ioctl(s[0], FIOCLEX) ?: fcntl(s[0], F_GETFD));
  SHOW(ioctl(s[0], FIONCLEX) ?: fcntl(s[0], F_GETFD));
  int path = open("f", O_PATH);
  SHOW(ioctl(path, FIOCLEX));
  SHOW(ioctl(f, FIONREAD, &pid) ?: pid);
  SHOW(ioctl(d, FIONREAD, &pid));
  SHOW(ioctl(f, FIONREAD, 8));
  // Sizes of pipes.
  SHOW(fcntl(p[0], F_SETPIPE_SZ, 0));
  SHOW(fcntl(p[0], F_SETPIPE_SZ, -1));
  SHOW(fcntl(p[0], F_SETPIPE_SZ, 1 << 20));
  SHOW(fcntl(p[0], F_SETPIPE_SZ, 100000));
  static char big[20000];
  write(p[1], big, 9000);
  SHOW(fcntl(p[0], F_SETPIPE_SZ, 4096));
  SHOW(fcntl(p[0], F_SETPIPE_SZ, 16384));
  SHOW(fcntl(p[0], F_GETPIPE_SZ));
  SHOW(fcntl(s[0], F_GETPIPE_SZ));
  // Leases.
  SHOW(fcntl(f, F_SETLEASE, 9));
  SHOW(fcntl(path, F_GETLEASE));
  SHOW(fcntl(p[0], F_GETLEASE));
  SHOW(fcntl(d, F_SETLEASE, F_RDLCK));
  SHOW(fcntl(p[0], F_SETLEASE, F_RDLCK));
}
