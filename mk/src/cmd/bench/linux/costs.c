// What system calls cost a program: the same binary in a guest and on Linux. Each line is
// `bench: NAME_ns=FIGURE`, the least of several batches, as others may run in between. Where a
// machine counts instructions as nanoseconds, they are these.
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096L
#define PAGES 128L
#define BATCHES 5

static long now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000000L + time.tv_nsec;
}

// A measurement that fails is none.
static void must(int good, const char *what) {
  if (!good) {
    perror(what);
    exit(1);
  }
}

static long rounds;
static char bytes[4096];
static int zero, file, to[2], back[2];
static char *area;
static char *self;

// One batch of each: how many it did. What stands outside of `begun` and `ended` is not counted.
static long begun, ended;
#define COUNTED(work)                                                          \
  do {                                                                         \
    begun = now();                                                             \
    work;                                                                      \
    ended = now();                                                             \
  } while (0)
#define EACH(count, work)                                                      \
  long count_ = (count);                                                       \
  COUNTED(for (long i = 0; i < count_; i++) { work; });                        \
  return count_

static long call(void) { EACH(rounds, syscall(SYS_getppid)); }

static long clock_read(void) {
  struct timespec time;
  EACH(rounds, clock_gettime(CLOCK_MONOTONIC, &time));
}

static long read_byte(void) {
  EACH(rounds, must(read(zero, bytes, 1) == 1, "read"));
}

static long read_page(void) {
  EACH(rounds, must(read(zero, bytes, sizeof bytes) == PAGE, "read"));
}

static void map(int flags, int of) {
  area = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, flags, of, 0);
  must(area != MAP_FAILED, "mmap");
}

static void unmap(void) { must(!munmap(area, PAGES * PAGE), "munmap"); }

static long touch(void) {
  map(MAP_PRIVATE | MAP_ANONYMOUS, -1);
  COUNTED(for (long i = 0; i < PAGES; i++) area[i * PAGE] = 1);
  unmap();
  return PAGES;
}

static long touch_file(void) {
  long sum = 0;
  map(MAP_PRIVATE, file);
  COUNTED(for (long i = 0; i < PAGES; i++) sum += *(volatile char *)(area + i * PAGE));
  must(sum == PAGES * 'x', "a page of a file");
  unmap();
  return PAGES;
}

static long unmap_page(void) {
  map(MAP_PRIVATE | MAP_ANONYMOUS, -1);
  memset(area, 1, PAGES * PAGE);
  COUNTED(for (long i = 0; i < PAGES; i++) must(!munmap(area + i * PAGE, PAGE), "munmap"));
  return PAGES;
}

static long protect(void) {
  map(MAP_PRIVATE | MAP_ANONYMOUS, -1);
  memset(area, 1, PAGES * PAGE);
  COUNTED(for (long i = 0; i < rounds; i++) {
    must(!mprotect(area, PAGE, PROT_READ), "mprotect");
    must(!mprotect(area, PAGE, PROT_READ | PROT_WRITE), "mprotect");
  });
  unmap();
  return 2 * rounds;
}

static long pipe_one(void) {
  EACH(rounds, must(write(to[1], bytes, 1) == 1 && read(to[0], bytes, 1) == 1, "pipe"));
}

static void *pipe_other(void *unused) {
  char byte[1];
  for (long i = 0; i < rounds; i++)
    must(read(to[0], byte, 1) == 1 && write(back[1], byte, 1) == 1, "pipe");
  return unused;
}

static long pipe_threads(void) {
  pthread_t other;
  must(!pthread_create(&other, NULL, pipe_other, NULL), "pthread_create");
  COUNTED(for (long i = 0; i < rounds; i++)
    must(write(to[1], bytes, 1) == 1 && read(back[0], bytes, 1) == 1, "pipe"));
  must(!pthread_join(other, NULL), "pthread_join");
  return rounds;
}

// Whose turn it is.
static int turn;

static void pass(int from, int to_whom) {
  while (__atomic_load_n(&turn, __ATOMIC_ACQUIRE) != from)
    syscall(SYS_futex, &turn, FUTEX_WAIT_PRIVATE, to_whom, NULL);
  __atomic_store_n(&turn, to_whom, __ATOMIC_RELEASE);
  syscall(SYS_futex, &turn, FUTEX_WAKE_PRIVATE, 1);
}

static void *futex_other(void *unused) {
  for (long i = 0; i < rounds; i++)
    pass(1, 0);
  return unused;
}

static long futex_threads(void) {
  pthread_t other;
  turn = 0;
  must(!pthread_create(&other, NULL, futex_other, NULL), "pthread_create");
  COUNTED(for (long i = 0; i < rounds; i++) pass(0, 1));
  must(!pthread_join(other, NULL), "pthread_join");
  return rounds;
}

static void *nothing(void *unused) { return unused; }

static long threads(void) {
  pthread_t thread;
  EACH(rounds / 4 + 1, {
    must(!pthread_create(&thread, NULL, nothing, NULL), "pthread_create");
    must(!pthread_join(thread, NULL), "pthread_join");
  });
}

static void reap(pid_t child) {
  int status = 0;
  must(waitpid(child, &status, 0) == child && status == 0, "a child");
}

static long fork_exit(void) {
  EACH(rounds / 50 + 1, {
    pid_t child = fork();
    must(child >= 0, "fork");
    if (child == 0)
      _exit(0);
    reap(child);
  });
}

static char *again[] = {"costs", "exit", NULL};

static long fork_exec(void) {
  EACH(rounds / 50 + 1, {
    pid_t child = fork();
    must(child >= 0, "fork");
    if (child == 0) {
      execv(self, again);
      _exit(127);
    }
    reap(child);
  });
}

static long spawn(void) {
  EACH(rounds / 50 + 1, {
    pid_t child;
    must(!posix_spawn(&child, self, NULL, NULL, again, NULL), "posix_spawn");
    reap(child);
  });
}

static const struct {
  const char *name;
  long (*batch)(void);
} COSTS[] = {
    {"call", call},
    {"clock", clock_read},
    {"read_byte", read_byte},
    {"read_page", read_page},
    {"touch", touch},
    {"touch_file", touch_file},
    {"protect", protect},
    {"unmap", unmap_page},
    {"pipe", pipe_one},
    {"pipe_threads", pipe_threads},
    {"futex_threads", futex_threads},
    {"thread", threads},
    {"fork_exit", fork_exit},
    {"fork_exec", fork_exec},
    {"spawn", spawn},
};

// Whether NAME is one of those that are asked for: all, where none is named.
static int wanted(const char *name, char **names) {
  for (char **one = names; *one; one++)
    if (!strcmp(*one, name))
      return 1;
  return !*names;
}

int main(int count, char **arguments) {
  self = arguments[0];
  if (count > 1 && !strcmp(arguments[1], "exit"))
    return 0;
  rounds = count > 1 ? atol(arguments[1]) : 1000;
  zero = open("/dev/zero", O_RDONLY);
  file = open("/tmp/costs.file", O_RDWR | O_CREAT | O_TRUNC, 0600);
  must(zero >= 0 && file >= 0, "open");
  memset(bytes, 'x', sizeof bytes);
  for (long i = 0; i < PAGES; i++)
    must(write(file, bytes, sizeof bytes) == PAGE, "write");
  must(!pipe(to) && !pipe(back), "pipe");
  for (unsigned i = 0; i < sizeof COSTS / sizeof *COSTS; i++) {
    if (count > 2 && !wanted(COSTS[i].name, arguments + 2))
      continue;
    double least = 1e18;
    for (int batch = 0; batch < BATCHES; batch++) {
      long done = COSTS[i].batch();
      double each = (double)(ended - begun) / (double)done;
      if (each < least)
        least = each;
    }
    printf("bench: %s_ns=%.1f\n", COSTS[i].name, least);
  }
  unlink("/tmp/costs.file");
  return 0;
}
