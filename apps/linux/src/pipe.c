// pipe(2), pipe(7)
#include "show.h"
static char big[70000];
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
}
