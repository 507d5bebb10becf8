// futex(2), get_robust_list(2), set_robust_list(2): who is woken, moved and told, in which order, and when a wait ends
#include "show.h"
#include <linux/futex.h>
#include <stddef.h>
static long futex(void *a, int op, long v, const void *t, void *b, long c) { return syscall(SYS_futex, a, op, v, t, b, c); }
static volatile int heard;
static void hear(int s) { heard += s == SIGALRM; }
static int *word;
// Who waits, and how each of them came back: a letter each, in their order.
struct waiter {
  pthread_t thread;
  int op, value;
  unsigned bits;
  int *at;
  volatile int tid, done, result;
};
static void *waits(void *a) {
  struct waiter *w = a;
  w->tid = gettid();
  long r = futex(w->at, w->op, w->value, 0, 0, w->bits);
  w->result = r < 0 ? -errno : r;
  w->done = 1;
  return 0;
}
static void begin(struct waiter *w, int op, int *at, unsigned bits) {
  *w = (struct waiter){.op = op, .at = at, .value = *at, .bits = bits};
  pthread_create(&w->thread, 0, waits, w);
  while (!w->tid)
    usleep(100);
  becomes(w->tid, 'S');
}
static int back(struct waiter *w, int n) {
  int done = 0;
  for (int i = 0; i < n; i++)
    done += w[i].done;
  return done;
}
// `woken` of them so far, if it is right.
static void which(const char *what, struct waiter *w, int n, int woken) {
  UNTIL(back(w, n) >= woken);
  printf("%s:", what);
  for (int i = 0; i < n; i++)
    printf(" %s", w[i].done ? w[i].result ? strerrorname_np(-w[i].result) : "woken" : "waits");
  puts("");
}
static void end(struct waiter *w, int n, int *other) {
  futex(word, FUTEX_WAKE, 1000, 0, 0, 0), futex(other, FUTEX_WAKE, 1000, 0, 0, 0);
  for (int i = 0; i < n; i++)
    pthread_join(w[i].thread, 0);
}
static void wakes(void) {
  struct waiter w[4];
  int other = 5;
  for (int i = 0; i < 4; i++)
    begin(w + i, FUTEX_WAIT, word, 0);
  SHOW(futex(word, FUTEX_WAKE, 1, 0, 0, 0)); which("the first", w, 4, 1);
  SHOW(futex(word, FUTEX_WAKE, 2, 0, 0, 0)); which("two more", w, 4, 3);
  SHOW(futex(word, FUTEX_WAKE, 9, 0, 0, 0)); which("all", w, 4, 4);
  end(w, 4, &other);
  // None asked for wakes one.
  begin(w, FUTEX_WAIT, word, 0), begin(w + 1, FUTEX_WAIT, word, 0);
  SHOW(futex(word, FUTEX_WAKE, 0, 0, 0, 0)); which("zero", w, 2, 1);
  SHOW(futex(word, FUTEX_WAKE, -1, 0, 0, 0)); which("minus one", w, 2, 2);
  end(w, 2, &other);
  // Those of one process are not those of all.
  begin(w, FUTEX_WAIT_PRIVATE, word, 0);
  SHOW(futex(word, FUTEX_WAKE, 1, 0, 0, 0)); which("private", w, 1, 0);
  futex(word, FUTEX_WAKE_PRIVATE, 9, 0, 0, 0), pthread_join(w[0].thread, 0);
  int own = 3;
  begin(w, FUTEX_WAIT_PRIVATE, &own, 0);
  SHOW(futex(&own, FUTEX_WAKE_PRIVATE, 9, 0, 0, 0));
  pthread_join(w[0].thread, 0);
  // Bits.
  unsigned bits[] = {1, 2, 4, ~0u};
  for (int i = 0; i < 4; i++)
    begin(w + i, FUTEX_WAIT_BITSET, word, bits[i]);
  SHOW(futex(word, FUTEX_WAKE_BITSET, 9, 0, 0, 0));
  SHOW(futex(word, FUTEX_WAKE_BITSET, 9, 0, 0, 8)); which("the bit of none", w, 4, 1);
  SHOW(futex(word, FUTEX_WAKE_BITSET, 1, 0, 0, 6)); which("one of two", w, 4, 2);
  SHOW(futex(word, FUTEX_WAKE, 1, 0, 0, 0)); which("any", w, 4, 3);
  SHOW(futex(word, FUTEX_WAKE_BITSET, 9, 0, 0, 4)); which("the third", w, 4, 4);
  end(w, 4, &other);
}
static void moves(void) {
  struct waiter w[5];
  static int other;
  for (int i = 0; i < 5; i++)
    begin(w + i, FUTEX_WAIT, word, 0);
  SHOW(futex(word, FUTEX_CMP_REQUEUE, 1, (void *)2, &other, *word + 1));
  SHOW(futex(word, FUTEX_CMP_REQUEUE, 1, (void *)2, &other, *word)); which("one woken, two moved", w, 5, 1);
  SHOW(futex(&other, FUTEX_WAKE, 1, 0, 0, 0)); which("a moved one", w, 5, 2);
  SHOW(futex(word, FUTEX_REQUEUE, 0, (void *)9, &other, 0)); which("the rest moved", w, 5, 2);
  SHOW(futex(word, FUTEX_WAKE, 9, 0, 0, 0));
  SHOW(futex(&other, FUTEX_REQUEUE, 0, (void *)9, &other, 0));
  SHOW(futex(&other, FUTEX_WAKE, 9, 0, 0, 0)); which("all of them", w, 5, 5);
  end(w, 5, &other);
  SHOW(futex(word, FUTEX_REQUEUE, 1, (void *)-1L, &other, 0));
  SHOW(futex(word, FUTEX_REQUEUE, -1, (void *)1, &other, 0));
  SHOW(futex(word, FUTEX_REQUEUE, 1, (void *)1, (char *)&other + 1, 0));
  SHOW(futex(word, FUTEX_REQUEUE, 1, (void *)1, (void *)8, 0));
  SHOW(futex((void *)8, FUTEX_REQUEUE, 1, (void *)1, &other, 0));
  SHOW(futex((void *)8, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)1, &other, 0));
  SHOW(futex(word, FUTEX_REQUEUE | FUTEX_CLOCK_REALTIME, 1, (void *)1, &other, 0));
}
// What FUTEX_WAKE_OP makes of the second word, and whom it wakes.
static void operations(void) {
  struct waiter w[2];
  static int other;
  static const int ops[] = {FUTEX_OP_SET, FUTEX_OP_ADD, FUTEX_OP_OR, FUTEX_OP_ANDN, FUTEX_OP_XOR};
  static const int compares[] = {FUTEX_OP_CMP_EQ, FUTEX_OP_CMP_NE, FUTEX_OP_CMP_LT, FUTEX_OP_CMP_LE, FUTEX_OP_CMP_GT, FUTEX_OP_CMP_GE};
  for (int i = 0; i < 5; i++) {
    other = 12;
    SHOW(futex(word, FUTEX_WAKE_OP, 1, (void *)1, &other, FUTEX_OP(ops[i], 10, FUTEX_OP_CMP_EQ, 12)));
    SHOW(other);
    other = 12;
    futex(word, FUTEX_WAKE_OP, 1, (void *)1, &other, FUTEX_OP((ops[i] | FUTEX_OP_OPARG_SHIFT), 3, FUTEX_OP_CMP_EQ, 12));
    SHOW(other);
  }
  other = 1;
  futex(word, FUTEX_WAKE_OP, 1, (void *)1, &other, FUTEX_OP(FUTEX_OP_ADD, 0xfff, FUTEX_OP_CMP_EQ, 0));
  SHOW(other);
  for (int i = 0; i < 6; i++)
    for (int to = 4; to < 7; to++) {
      other = 5;
      begin(w, FUTEX_WAIT, &other, 0);
      printf("%d %d: %ld %d\n", i, to, futex(word, FUTEX_WAKE_OP, 1, (void *)1, &other, FUTEX_OP(FUTEX_OP_SET, 9, compares[i], to)), other);
      end(w, 1, &other);
    }
  other = 5;
  begin(w, FUTEX_WAIT, word, 0), begin(w + 1, FUTEX_WAIT, &other, 0);
  SHOW(futex(word, FUTEX_WAKE_OP, 9, (void *)9, &other, FUTEX_OP(FUTEX_OP_ADD, 1, FUTEX_OP_CMP_EQ, 5))); which("both", w, 2, 2);
  end(w, 2, &other);
  SHOW(futex(word, FUTEX_WAKE_OP, 1, (void *)1, &other, FUTEX_OP(5, 1, FUTEX_OP_CMP_EQ, 5)));
  SHOW(futex(word, FUTEX_WAKE_OP, 1, (void *)1, &other, FUTEX_OP(FUTEX_OP_ADD, 1, 7, 5)));
  SHOW(futex((void *)8, FUTEX_WAKE_OP, 1, (void *)1, &other, 0));
  SHOW(futex(word, FUTEX_WAKE_OP, 1, (void *)1, (char *)&other + 2, 0));
  char *fixed = mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  SHOW(futex(word, FUTEX_WAKE_OP, 1, (void *)1, fixed, 0));
  SHOW(futex(fixed, FUTEX_WAIT, 1, 0, 0, 0));
  SHOW(futex(fixed, FUTEX_WAKE, 1, 0, 0, 0));
  SHOW(futex(fixed, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0));
}
static long timed(int op, long value, const struct timespec *t, unsigned bits, long *took) {
  long begun = ms(), r = futex(word, op, value, t, 0, bits);
  int error = errno;
  *took = ms() - begun;
  return r < 0 ? -error : r;
}
static long waited(int op, long value, const struct timespec *t, unsigned bits) {
  long took, r = timed(op, value, t, bits, &took);
  printf("%s, %s: ", r < 0 ? strerrorname_np(-r) : "woken", took < 15 ? "at once" : took < 15000 ? "later" : "late");
  return r;
}
// One that does not wait, although others may run meanwhile: one of several is at once.
static long refused(int op, long value, const struct timespec *t, unsigned bits) {
  long took, r;
  int tries = 0;
  do
    r = timed(op, value, t, bits, &took);
  while (took >= 15 && ++tries < 50);
  printf("%s, %s: ", r < 0 ? strerrorname_np(-r) : "woken", took < 15 ? "at once" : "later");
  return r;
}
static struct timespec in(clockid_t clock, long milliseconds) {
  struct timespec t;
  clock_gettime(clock, &t);
  t.tv_nsec += milliseconds * 1000000;
  for (; t.tv_nsec >= 1000000000; t.tv_nsec -= 1000000000)
    t.tv_sec++;
  for (; t.tv_nsec < 0; t.tv_nsec += 1000000000)
    t.tv_sec--;
  return t;
}
// One until a time that is to come: one of several has not come before the wait begins.
static long until(int op, clockid_t clock) {
  long took, r;
  int tries = 0;
  do {
    struct timespec t = in(clock, 60);
    r = timed(op, *word, &t, ~0u, &took);
  } while (took < 15 && ++tries < 50);
  printf("%s, %s: ", r < 0 ? strerrorname_np(-r) : "woken", took < 15 ? "at once" : "later");
  return r;
}
static void times(void) {
  struct timespec t = {0, 30000000}, bad[] = {{-1, 0}, {0, -1}, {0, 1000000000}, {1L << 62, 0}};
  SHOW(waited(FUTEX_WAIT, *word, &t, 0));
  SHOW(refused(FUTEX_WAIT, *word + 1, &t, 0));
  t = (struct timespec){0, 0};
  SHOW(refused(FUTEX_WAIT, *word, &t, 0));
  SHOW(until(FUTEX_WAIT_BITSET, CLOCK_MONOTONIC));
  t = in(CLOCK_MONOTONIC, -30);
  SHOW(refused(FUTEX_WAIT_BITSET, *word, &t, ~0u));
  SHOW(until(FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, CLOCK_REALTIME));
  t = in(CLOCK_REALTIME, -30);
  SHOW(refused(FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, *word, &t, ~0u));
  t = (struct timespec){0, 30000000};
  SHOW(waited(FUTEX_WAIT | FUTEX_CLOCK_REALTIME, *word, &t, 0));
  for (int i = 0; i < 3; i++) {
    SHOW(refused(FUTEX_WAIT, *word, bad + i, 0));
    SHOW(refused(FUTEX_WAIT, *word + 1, bad + i, 0));
    SHOW(refused(FUTEX_WAIT_BITSET, *word, bad + i, 1));
    SHOW(refused(FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, *word, bad + i, 1));
  }
  SHOW(refused(FUTEX_WAIT, *word, (void *)8, 0));
  SHOW(refused(FUTEX_WAIT, *word + 1, (void *)8, 0));
  SHOW(refused(FUTEX_WAIT_BITSET, *word, bad + 3, 0));
  SHOW(refused(FUTEX_WAIT_BITSET, *word + 1, bad + 3, 1));
  SHOW(futex(word, FUTEX_WAKE, 1, (void *)8, (void *)8, 9));
  // Signals.
  struct sigaction a = {.sa_handler = hear};
  sigaction(SIGALRM, &a, 0);
  rings(1);
  SHOW(futex(word, FUTEX_WAIT, *word, 0, 0, 0));
  a.sa_flags = SA_RESTART, sigaction(SIGALRM, &a, 0);
  t = (struct timespec){20, 0};
  SHOW(futex(word, FUTEX_WAIT, *word, &t, 0, 0));
  t = in(CLOCK_MONOTONIC, 20000);
  SHOW(futex(word, FUTEX_WAIT_BITSET, *word, &t, 0, ~0u));
  rings(0);
  IS(heard >= 3);
}
// Words that several processes have.
static void shared(void) {
  int f = memfd_create("words", 0), status;
  ftruncate(f, 8192);
  int *one = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, f, 0), *two = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, f, 0);
  int *next = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, f, 4096), *own = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, f, 0);
  struct waiter w[1];
  begin(w, FUTEX_WAIT, one, 0);
  SHOW(futex(next, FUTEX_WAKE, 1, 0, 0, 0));
  SHOW(futex(own, FUTEX_WAKE, 1, 0, 0, 0));
  SHOW(futex(two, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0));
  SHOW(futex(two, FUTEX_WAKE, 1, 0, 0, 0)); which("by another address", w, 1, 1);
  pthread_join(w[0].thread, 0);
  fflush(stdout);
  pid_t id = fork();
  if (!id)
    _exit(futex(one, FUTEX_WAIT, 0, 0, 0, 0) ? errno : 44);
  while (!futex(two, FUTEX_WAKE, 1, 0, 0, 0))
    usleep(500);
  SHOW(waitpid(id, &status, 0) == id && WEXITSTATUS(status));
  // Anonymous memory after a fork: shared is one, private is two.
  int *both = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), *each = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  *each = 0;
  struct timespec t = {0, 100000000};
  if (!(id = fork()))
    _exit((futex(both, FUTEX_WAIT, 0, 0, 0, 0) ? 1 : 0) + (futex(each, FUTEX_WAIT, 0, &t, 0, 0) && errno == ETIMEDOUT ? 2 : 0));
  while (!futex(both, FUTEX_WAKE, 1, 0, 0, 0))
    usleep(500);
  usleep(10000);
  SHOW(futex(each, FUTEX_WAKE, 1, 0, 0, 0));
  SHOW(waitpid(id, &status, 0) == id && WEXITSTATUS(status));
}
static struct robust {
  struct robust_list link;
  int word;
} locks[3];
static struct robust_list_head head;
static void *dies(void *a) {
  long how = (long)a;
  head = (struct robust_list_head){.list = {&locks[0].link}, .futex_offset = offsetof(struct robust, word) - offsetof(struct robust, link)};
  locks[0] = (struct robust){{&locks[1].link}, gettid()}, locks[1] = (struct robust){{&head.list}, gettid() | FUTEX_WAITERS};
  locks[2] = (struct robust){{0}, gettid()};
  if (how == 1)
    head.list_op_pending = &locks[2].link;
  if (how == 2)
    locks[0].word = 1;
  if (how == 3)
    locks[0].link.next = (void *)8;
  if (how == 4)
    locks[1].link.next = &locks[0].link;
  syscall(SYS_set_robust_list, &head, sizeof head);
  syscall(SYS_exit, 0);
  return 0;
}
static void robust(void) {
  struct robust_list_head *got = 0;
  size_t length = 0;
  SHOW(syscall(SYS_set_robust_list, &head, 23));
  SHOW(syscall(SYS_set_robust_list, &head, 25));
  SHOW(syscall(SYS_get_robust_list, 0, &got, &length) ?: length);
  IS(got != 0);
  SHOW(syscall(SYS_get_robust_list, 999999, &got, &length));
  SHOW(syscall(SYS_get_robust_list, 0, 8, &length));
  SHOW(syscall(SYS_get_robust_list, 0, &got, 8));
  SHOW(syscall(SYS_get_robust_list, getpid(), &got, &length));
  for (long how = 0; how < 5; how++) {
    pthread_t t;
    pthread_create(&t, 0, dies, (void *)how);
    pthread_join(t, 0);
    printf("robust %ld:", how);
    for (int i = 0; i < 3; i++)
      printf(" %x%s", locks[i].word & ~FUTEX_TID_MASK, locks[i].word & FUTEX_TID_MASK ? "+tid" : "");
    puts("");
  }
  // A waiter is told.
  struct waiter w[1];
  fflush(stdout);
  int *both = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  pid_t id = fork(), status;
  if (!id) {
    struct robust *lock = (void *)both;
    lock->word = gettid() | FUTEX_WAITERS, lock->link.next = &head.list;
    head = (struct robust_list_head){.list = {&lock->link}, .futex_offset = offsetof(struct robust, word)};
    syscall(SYS_set_robust_list, &head, sizeof head);
    becomes(getppid(), 'S');
    _exit(0);
  }
  int *at = &((struct robust *)both)->word;
  // It sleeps in the wait alone.
  while (!*(volatile int *)at)
    sched_yield();
  *w = (struct waiter){.op = FUTEX_WAIT, .at = at, .value = *at};
  waits(w);
  SHOW(w->result);
  IS(*at & FUTEX_OWNER_DIED);
  waitpid(id, &status, 0);
}
int main(void) {
  word = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  *word = 7;
  wakes();
  moves();
  operations();
  times();
  shared();
  robust();
  // futex_waitv(2)
  struct futex_waitv v[3] = {{7, (long)word, FUTEX_32, 0}, {7, (long)word, FUTEX_32, 0}, {9, (long)word, FUTEX_32, 0}};
  struct timespec t = in(CLOCK_MONOTONIC, 20);
#define WAITV(n, flags, t, clock) SHOW(syscall(449, v, n, flags, t, clock))
  WAITV(0, 0, &t, CLOCK_MONOTONIC);
  WAITV(129, 0, &t, CLOCK_MONOTONIC);
  WAITV(2, 1, &t, CLOCK_MONOTONIC);
  WAITV(2, 0, &t, CLOCK_BOOTTIME);
  WAITV(2, 0, &t, CLOCK_MONOTONIC);
  WAITV(3, 0, &t, CLOCK_MONOTONIC);
  WAITV(2, 0, (void *)8, CLOCK_MONOTONIC);
  WAITV(2, 0, &((struct timespec){-1, 0}), CLOCK_MONOTONIC);
  v[1].flags = 0;
  WAITV(2, 0, &t, CLOCK_MONOTONIC);
  v[1].flags = FUTEX_32, v[1].__reserved = 1;
  WAITV(2, 0, &t, CLOCK_MONOTONIC);
  v[1].__reserved = 0, v[1].uaddr = 8;
  WAITV(2, 0, &t, CLOCK_MONOTONIC);
  v[1].uaddr = (long)word + 2;
  WAITV(2, 0, &t, CLOCK_MONOTONIC);
  SHOW(syscall(449, 8, 1, 0, &t, CLOCK_MONOTONIC));
}
