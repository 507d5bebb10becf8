// What each test prints: a call with its result, or with the name of its error.
#define _GNU_SOURCE
// Wrong arguments and results that nobody looks at are what is tested.
#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Wnonnull"
#pragma GCC diagnostic ignored "-Wunused-result"
#pragma GCC diagnostic ignored "-Wstringop-overflow"
#pragma GCC diagnostic ignored "-Wstringop-overread"
#pragma GCC diagnostic ignored "-Warray-bounds"
#pragma GCC diagnostic ignored "-Wdiv-by-zero"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// Prints the result.
#define SHOW(call)                                                             \
  do {                                                                         \
    errno = 0;                                                                 \
    long result_ = (long)(call);                                               \
    if (result_ == -1 && errno)                                                \
      printf("%s: %s\n", #call, strerrorname_np(errno));                       \
    else                                                                       \
      printf("%s: %ld\n", #call, result_);                                     \
  } while (0)

// Prints whether it worked, where the result is a number that may differ.
#define WORKS(call)                                                            \
  do {                                                                         \
    errno = 0;                                                                 \
    long result_ = (long)(call);                                               \
    printf("%s: %s\n", #call,                                                  \
           result_ == -1 && errno ? strerrorname_np(errno) : "works");         \
  } while (0)

// Prints whether it is true.
#define IS(what) printf("%s: %s\n", #what, (what) ? "yes" : "no")

static inline long ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

// Waits for what comes in its time: a loaded machine carries packets late, and runs others late. After
// 20 s it goes on, and what is told differs.
#define UNTIL(what)                                                            \
  for (long end_ = ms() + 20000; !(what) && ms() < end_;)                      \
  usleep(1000)

// Waits until a descriptor has all of these events.
static inline void arrives(int fd, int events) {
  struct pollfd p = {fd, events, 0};
  UNTIL(poll(&p, 1, 0) >= 0 && (p.revents & events) == events);
}

// Waits until there are as many bytes to be read.
static inline void holds(int fd, int bytes) {
  int n = 0;
  UNTIL(ioctl(fd, FIONREAD, &n) < 0 || n >= bytes);
}

// What /proc/ID/stat says of a process, or of a thread of this one.
static inline char task_state(pid_t id) {
  char path[50], line[300];
  sprintf(path, "/proc/self/task/%d/stat", id);
  int f = open(path, O_RDONLY);
  if (f < 0)
    sprintf(path, "/proc/%d/stat", id), f = open(path, O_RDONLY);
  int n = f < 0 ? 0 : read(f, line, sizeof line - 1);
  close(f);
  line[n < 0 ? 0 : n] = 0;
  char *end = strrchr(line, ')');
  return end ? end[2] : 0;
}

// Waits until it is in this state whenever one looks, or has ended: it may sleep on its way, too.
static inline void becomes(pid_t id, char state) {
  char now = 0;
  int looks = 0;
  UNTIL((now = task_state(id), looks = now == state ? looks + 1 : 0) == 8 || now == 'Z' || !now);
}

// SIGALRM again and again, until there is none: a single one may come before what it is to end begins.
static inline void rings(int on) {
  setitimer(ITIMER_REAL, &(struct itimerval){{0, on * 20000}, {0, on * 20000}}, 0);
}

// A test that hangs ends, and what it said is known.
__attribute__((constructor)) static void limit(void) {
  alarm(100);
  setvbuf(stdout, 0, _IOLBF, 0);
}
