// pipe(2), pipe(7)
#include "show.h"
static char big[70000];
static void nothing(int number) { (void)number; }
static int revents(int fd, int events) {
  struct pollfd p = {fd, events, 0};
  poll(&p, 1, 0);
  return p.revents;
}
// Pipes with a name.
static void named(void) {
  unlink("/tmp/fifo");
  SHOW(mkfifo("/tmp/fifo", 0600));
  int r = open("/tmp/fifo", O_RDONLY | O_NONBLOCK);
  SHOW(revents(r, POLLIN));
  close(open("/tmp/fifo", O_WRONLY));
  SHOW(revents(r, POLLIN));
  int later = open("/tmp/fifo", O_RDONLY | O_NONBLOCK);
  SHOW(revents(later, POLLIN));
  int w = open("/tmp/fifo", O_WRONLY);
  close(w);
  SHOW(revents(later, POLLIN));
  close(later);
  // Who has both ends hears of room.
  int both = open("/tmp/fifo", O_RDWR | O_NONBLOCK);
  SHOW(write(both, big, 65536));
  SHOW(revents(both, POLLOUT));
  fflush(stdout);
  pid_t child = fork();
  if (!child) {
    becomes(getppid(), 'S');
    read(r, big, 4096);
    _exit(0);
  }
  struct pollfd p = {both, POLLOUT, 0};
  SHOW(poll(&p, 1, 30000));
  wait(0);
  close(both), close(r);
  // A signal ends the wait for the other side.
  struct sigaction act = {.sa_handler = nothing};
  sigaction(SIGUSR1, &act, 0);
  fflush(stdout);
  pid_t parent = getpid();
  if (!(child = fork())) {
    becomes(parent, 'S');
    kill(parent, SIGUSR1);
    _exit(0);
  }
  SHOW(open("/tmp/fifo", O_RDONLY));
  wait(0);
  // Who has waited has it open, however short the other side is, and its name.
  fflush(stdout);
  if (!(child = fork())) {
    int fd = open("/tmp/fifo", O_RDONLY);
    char c;
    _exit(fd < 0 ? errno : (int)read(fd, &c, 1));
  }
  becomes(child, 'S');
  w = open("/tmp/fifo", O_WRONLY);
  unlink("/tmp/fifo");
  close(w);
  int status;
  wait(&status);
  SHOW(WEXITSTATUS(status));
}
static void spliced(void) {
  int a[2], b[2];
  char c[10];
  pipe(a), pipe(b);
  write(b[1], big, 65536);
  write(a[1], "hello", 5);
  SHOW(splice(a[0], 0, b[1], 0, 5, SPLICE_F_NONBLOCK));
  SHOW(read(a[0], c, 10));
  SHOW(splice(a[0], 0, b[1], 0, 5, SPLICE_F_NONBLOCK));
  fcntl(b[1], F_SETFL, O_NONBLOCK);
  int z = open("/dev/zero", O_RDONLY);
  SHOW(splice(z, 0, b[1], 0, 5, 0));
  // It waits until a signal comes.
  fcntl(b[1], F_SETFL, 0);
  write(a[1], "hello", 5);
  fflush(stdout);
  pid_t parent = getpid();
  if (!fork()) {
    becomes(parent, 'S');
    kill(parent, SIGUSR1);
    _exit(0);
  }
  SHOW(splice(a[0], 0, b[1], 0, 5, 0));
  wait(0);
  SHOW(read(a[0], c, 10));
}
int main(void) {
  int p[2];
  SHOW(pipe2(p, O_CLOEXEC | 0x40000000));
  SHOW(pipe((int *)8));
  SHOW(pipe2(p, O_NONBLOCK));
  IS(fcntl(p[0], F_GETFL) == (O_RDONLY | O_NONBLOCK));
  IS(fcntl(p[1], F_GETFL) == (O_WRONLY | O_NONBLOCK));
  char c[10];
  SHOW(read(p[0], c, 1));
  SHOW(write(p[0], c, 1));
  SHOW(read(p[1], c, 1));
  SHOW(write(p[1], "hello", 5));
  SHOW(read(p[0], c, 0));
  SHOW(read(p[0], c, 3));
  SHOW(read(p[0], c, 9));
  SHOW(write(p[1], big, 65536));
  SHOW(write(p[1], big, 1));
  SHOW(read(p[0], big, 4095));
  SHOW(write(p[1], big, 4096));
  SHOW(read(p[0], big, 1));
  SHOW(write(p[1], big, 4096));
  SHOW(fcntl(p[1], F_GETPIPE_SZ));
  SHOW(fcntl(p[1], F_SETPIPE_SZ, 4096));
  SHOW(lseek(p[0], 0, SEEK_SET));
  SHOW(pread(p[0], c, 1, 0));
  SHOW(ftruncate(p[1], 0));
  SHOW(fsync(p[1]));
  SHOW(write(p[1], (void *)8, 1));
  int n;
  SHOW(ioctl(p[0], FIONREAD, &n));
  IS(n == 65536);
  struct stat s;
  SHOW(fstat(p[0], &s));
  IS(S_ISFIFO(s.st_mode));
  SHOW(close(p[1]));
  while (read(p[0], big, sizeof big) > 0)
    ;
  SHOW(read(p[0], c, 1));
  SHOW(close(p[0]));
  SHOW(close(p[0]));
  signal(SIGPIPE, SIG_IGN);
  SHOW(pipe(p));
  close(p[0]);
  SHOW(write(p[1], c, 1));
  signal(SIGPIPE, SIG_DFL);
  fflush(stdout);
  if (fork() == 0) {
    write(p[1], c, 1);
    _exit(0);
  }
  int status;
  wait(&status);
  IS(WIFSIGNALED(status) && WTERMSIG(status) == SIGPIPE);
  // A blocking write goes on until all is written.
  SHOW(pipe(p));
  fflush(stdout);
  if (fork() == 0) {
    close(p[0]);
    memset(big, 'x', sizeof big);
    _exit(write(p[1], big, sizeof big) == sizeof big ? 0 : 1);
  }
  close(p[1]);
  long got = 0, r;
  while ((r = read(p[0], big, 1000)) > 0)
    got += r;
  SHOW(got);
  wait(&status);
  SHOW(WEXITSTATUS(status));
  named();
  spliced();
}
