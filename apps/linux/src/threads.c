// pthreads(7), futex(2), clone(2)
#include "show.h"
#include <linux/futex.h>
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static long total, turns;
static __thread int own;
static int word;
static void *add(void *n) {
  for (int i = 0; i < 1000; i++) {
    pthread_mutex_lock(&lock);
    total++;
    pthread_mutex_unlock(&lock);
  }
  own = (int)(long)n;
  usleep(1000);
  return (void *)(long)own;
}
static void *turn(void *n) {
  for (int i = 0; i < 100; i++) {
    pthread_mutex_lock(&lock);
    while (turns % 2 != (long)n)
      pthread_cond_wait(&changed, &lock);
    turns++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
  }
  return 0;
}
static volatile double spun;
static volatile int stop;
static void *spin(void *n) {
  (void)n;
  while (!stop)
    spun += 1.5;
  return 0;
}
static void *quick(void *n) { return n; }
static void *await(void *n) {
  (void)n;
  sigset_t both;
  sigemptyset(&both);
  sigaddset(&both, SIGUSR1);
  sigaddset(&both, SIGUSR2);
  int number = 0;
  sigwait(&both, &number);
  return (void *)(long)number;
}
static long futex(int *at, int op, int value, void *time) {
  return syscall(SYS_futex, at, op, value, time, 0, 0);
}
int main(void) {
  pthread_t t[8];
  for (long i = 0; i < 8; i++)
    pthread_create(&t[i], 0, add, (void *)i);
  long sum = 0;
  for (int i = 0; i < 8; i++) {
    void *r;
    pthread_join(t[i], &r);
    sum += (long)r;
  }
  SHOW(total);
  SHOW(sum);
  for (long i = 0; i < 2; i++)
    pthread_create(&t[i], 0, turn, (void *)i);
  for (int i = 0; i < 2; i++)
    pthread_join(t[i], 0);
  SHOW(turns);
  // One that spins does not keep others from running.
  pthread_create(&t[0], 0, spin, 0);
  UNTIL(spun > 0);
  usleep(50000);
  stop = 1;
  pthread_join(t[0], 0);
  IS(spun > 0);
  for (int i = 0; i < 500; i++) {
    pthread_create(&t[0], 0, quick, 0);
    pthread_join(t[0], 0);
  }
  puts("500 came and went");
  // Two signals at once end the waits of two.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  for (int i = 0; i < 2; i++)
    pthread_create(&t[i], 0, await, 0);
  usleep(50000);
  kill(getpid(), SIGUSR1), kill(getpid(), SIGUSR2);
  sum = 0;
  for (int i = 0; i < 2; i++) {
    void *r;
    pthread_join(t[i], &r);
    sum += (long)r;
  }
  SHOW(sum);
  pthread_sigmask(SIG_SETMASK, &before, 0);
  struct timespec soon = {0, 20000000}, bad = {0, -1};
  SHOW(futex(&word, FUTEX_WAIT, 1, 0));
  SHOW(futex(&word, FUTEX_WAIT, 0, &soon));
  SHOW(futex(&word, FUTEX_WAIT, 0, &bad));
  SHOW(futex(&word, FUTEX_WAKE, 1, 0));
  SHOW(futex((int *)((char *)&word + 1), FUTEX_WAIT, 0, 0));
  SHOW(futex((int *)8, FUTEX_WAIT, 0, 0));
  SHOW(futex(&word, 99, 0, 0));
  IS(syscall(SYS_gettid) == getpid());
  SHOW(sched_yield());
  pthread_key_t key;
  SHOW(pthread_key_create(&key, 0));
  // A mutex whose owner died.
  pthread_mutexattr_t attr;
  pthread_mutexattr_init(&attr);
  pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
  pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
  pthread_mutex_t *m = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  pthread_mutex_init(m, &attr);
  fflush(stdout);
  if (fork() == 0) {
    pthread_mutex_lock(m);
    _exit(0);
  }
  wait(0);
  IS(pthread_mutex_lock(m) == EOWNERDEAD);
}
