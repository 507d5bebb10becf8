// open(2), close(2), close_range(2), dup(2), fcntl(2), openat2(2)
#include "show.h"
#include <linux/openat2.h>
#include <sys/file.h>
static int try(int fd, int type, int start, int length) {
  struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
  return fcntl(fd, F_SETLK, &l);
}
static int child(int type, int start, int length) {
  fflush(stdout);
  pid_t id = fork();
  if (!id) {
    int f = open("f", O_RDWR);
    int got = try(f, type, start, length) ? errno : 0;
    _exit(got);
  }
  int status;
  waitpid(id, &status, 0);
  return WEXITSTATUS(status);
}
int main(void) {
  system("rm -rf /tmp/descriptors; mkdir /tmp/descriptors");
  chdir("/tmp/descriptors");
  int f = open("f", O_CREAT | O_RDWR, 0600), p[2], path = open("f", O_PATH), ro = open("f", O_RDONLY);
  SHOW(f);
  SHOW(path);
  SHOW(close(-1));
  SHOW(close(999));
  SHOW(dup(-1));
  SHOW(dup(f));
  SHOW(dup2(f, 1 << 20));
  SHOW(dup2(f, -5));
  SHOW(dup3(f, 20, O_CLOEXEC));
  SHOW(fcntl(20, F_GETFD));
  SHOW(dup3(f, 20, O_APPEND));
  SHOW(dup3(f, f, 0));
  SHOW(dup3(999, 999, 0));
  SHOW(dup2(999, 999));
  SHOW(fcntl(f, F_DUPFD, -1));
  SHOW(fcntl(f, F_DUPFD, 1 << 20));
  SHOW(fcntl(f, F_DUPFD_CLOEXEC, 30));
  SHOW(fcntl(30, F_GETFD));
  SHOW(fcntl(30, F_SETFD, 0) ?: fcntl(30, F_GETFD));
  SHOW(fcntl(30, F_SETFD, 0xff) ?: fcntl(30, F_GETFD));
  SHOW(fcntl(f, F_GETFL));
  SHOW(fcntl(f, F_SETFL, O_APPEND | O_NONBLOCK | O_RDONLY) ?: fcntl(f, F_GETFL));
  SHOW(fcntl(f, F_SETFL, 0));
  SHOW(fcntl(path, F_GETFL));
  SHOW(fcntl(path, F_SETFL, 0));
  SHOW(fcntl(path, F_GETFD));
  SHOW(fcntl(path, F_DUPFD, 40));
  SHOW(fcntl(f, 777, 0));
  SHOW(fcntl(999, 777, 0));
  SHOW(fcntl(f, F_GETOWN));
  SHOW(fcntl(f, F_GETSIG));
  SHOW(fcntl(f, F_GETPIPE_SZ));
  pipe(p);
  SHOW(fcntl(p[0], F_GETPIPE_SZ));
  SHOW(fcntl(p[0], F_SETPIPE_SZ, 1));
  SHOW(fcntl(p[0], F_SETPIPE_SZ, 5000));
  SHOW(fcntl(p[0], F_GETFL));
  SHOW(fcntl(p[1], F_GETFL));
  SHOW(fcntl(f, F_GETLEASE));
  for (int i = 100; i < 110; i++)
    dup2(f, i);
  SHOW(syscall(SYS_close_range, 105, 100, 0));
  SHOW(syscall(SYS_close_range, 100, 104, 99));
  SHOW(syscall(SYS_close_range, 100, 104, 0));
  SHOW(fcntl(104, F_GETFD));
  SHOW(fcntl(105, F_GETFD));
  SHOW(syscall(SYS_close_range, 105, ~0U, 4));
  SHOW(fcntl(109, F_GETFD));
  struct open_how how = {.flags = O_RDONLY}, mode = {.flags = O_RDONLY, .mode = 0600};
  WORKS(syscall(SYS_openat2, AT_FDCWD, "f", &how, sizeof how));
  SHOW(syscall(SYS_openat2, AT_FDCWD, "f", &mode, sizeof mode));
  SHOW(syscall(SYS_openat2, AT_FDCWD, "f", &how, 8));
  SHOW(syscall(SYS_openat2, AT_FDCWD, "f", &how, 1 << 20));
  how.flags = 1UL << 40;
  SHOW(syscall(SYS_openat2, AT_FDCWD, "f", &how, sizeof how));
  how.flags = O_RDONLY, how.resolve = RESOLVE_BENEATH;
  SHOW(syscall(SYS_openat2, AT_FDCWD, "../descriptors/f", &how, sizeof how));
  SHOW(syscall(SYS_openat2, AT_FDCWD, "/tmp", &how, sizeof how));
  symlink("f", "l");
  how.resolve = RESOLVE_NO_SYMLINKS;
  SHOW(syscall(SYS_openat2, AT_FDCWD, "l", &how, sizeof how));
  how.resolve = RESOLVE_IN_ROOT;
  SHOW(syscall(SYS_openat2, AT_FDCWD, "/none", &how, sizeof how));
  WORKS(syscall(SYS_openat2, AT_FDCWD, "/../f", &how, sizeof how));
  how.resolve = 1 << 20;
  SHOW(syscall(SYS_openat2, AT_FDCWD, "f", &how, sizeof how));
  SHOW(openat(999, "x", O_RDONLY));
  SHOW(openat(f, "x", O_RDONLY));
  WORKS(openat(999, "/tmp", O_RDONLY));
  // Record locks.
  SHOW(write(f, "0123456789", 10));
  SHOW(try(f, F_WRLCK, 0, 5));
  SHOW(child(F_WRLCK, 4, 1));
  SHOW(child(F_RDLCK, 4, 1));
  SHOW(child(F_WRLCK, 5, 1));
  SHOW(try(f, F_RDLCK, 0, 0));
  SHOW(child(F_RDLCK, 4, 1));
  SHOW(child(F_WRLCK, 400, 1));
  SHOW(try(f, F_UNLCK, 2, 2));
  SHOW(child(F_WRLCK, 2, 2));
  SHOW(child(F_WRLCK, 1, 2));
  SHOW(try(f, 77, 0, 1));
  SHOW(try(ro, F_WRLCK, 0, 1));
  SHOW(try(f, F_RDLCK, -5, 1));
  SHOW(try(path, F_RDLCK, 0, 1));
  struct flock l = {.l_type = F_WRLCK, .l_whence = 9};
  SHOW(fcntl(f, F_SETLK, &l));
  SHOW(fcntl(f, F_SETLK, (void *)8));
  l = (struct flock){.l_type = F_UNLCK};
  SHOW(fcntl(f, F_GETLK, &l));
  l = (struct flock){.l_type = F_WRLCK};
  SHOW(fcntl(f, F_GETLK, &l) ?: l.l_type);
  close(ro);
  SHOW(child(F_WRLCK, 0, 0));
  SHOW(flock(f, 0));
  SHOW(flock(f, 99));
  SHOW(flock(999, LOCK_SH));
  SHOW(flock(path, LOCK_SH));
  int other = open("f", O_RDWR);
  SHOW(flock(f, LOCK_SH));
  SHOW(flock(other, LOCK_SH | LOCK_NB));
  SHOW(flock(other, LOCK_EX | LOCK_NB));
  SHOW(flock(f, LOCK_UN) ?: flock(other, LOCK_EX | LOCK_NB));
  // Another kind is taken once the old one is given up.
  SHOW(flock(other, LOCK_SH) ?: flock(f, LOCK_SH));
  SHOW(flock(other, LOCK_EX | LOCK_NB));
  SHOW(flock(f, LOCK_EX | LOCK_NB));
  SHOW(flock(f, LOCK_UN));
  struct flock o = {.l_type = F_WRLCK}, third = {.l_type = F_WRLCK};
  int again = open("f", O_RDWR);
  SHOW(fcntl(other, F_OFD_SETLK, &o));
  SHOW(fcntl(again, F_OFD_SETLK, &third));
  third.l_pid = 5;
  SHOW(fcntl(again, F_OFD_SETLK, &third));
  // Two who would wait for each other.
  int d = open("deadlock", O_CREAT | O_RDWR, 0600);
  SHOW(try(d, F_WRLCK, 0, 1));
  fflush(stdout);
  pid_t id = fork();
  struct flock first = {.l_type = F_WRLCK, .l_len = 1}, second = {.l_type = F_WRLCK, .l_start = 1, .l_len = 1};
  if (!id) {
    try(d, F_WRLCK, 1, 1);
    _exit(fcntl(d, F_SETLKW, &first) ? errno : 0);
  }
  becomes(id, 'S');
  SHOW(fcntl(d, F_SETLKW, &second));
  SHOW(try(d, F_UNLCK, 0, 0));
  int status;
  SHOW(waitpid(id, &status, 0) == id && WEXITSTATUS(status) == 0);
  // One who gave up first what the other waits for.
  SHOW(try(d, F_WRLCK, 0, 1));
  fflush(stdout);
  id = fork();
  if (!id) {
    try(d, F_WRLCK, 1, 1);
    _exit(fcntl(d, F_SETLKW, &first) ? errno : 0);
  }
  becomes(id, 'S');
  SHOW(try(d, F_UNLCK, 0, 0) ?: fcntl(d, F_SETLKW, &second));
  SHOW(waitpid(id, &status, 0) == id && WEXITSTATUS(status) == 0);
}
