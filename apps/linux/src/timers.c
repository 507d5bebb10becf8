// timer_create(2), timer_settime(2), timerfd(2), signalfd(2), sigaction(2), sigqueue(3), sigaltstack(2), setitimer(2), signal(7)
#include "show.h"
#include <setjmp.h>
#include <ucontext.h>
static volatile int heard[65], last_code, last_value, last_errno, order[20], ordered, on_stack;
static void *last_where;
static volatile pid_t last_pid;
static void hear(int s, siginfo_t *i, void *c) {
  (void)c;
  heard[s]++;
  if (ordered < 20)
    order[ordered++] = s;
  last_code = i->si_code, last_value = i->si_value.sival_int, last_pid = i->si_pid, last_errno = i->si_errno;
  stack_t now;
  sigaltstack(0, &now);
  on_stack = now.ss_flags;
  last_where = __builtin_frame_address(0);
}
static void act(int s, int flags, int masked) {
  struct sigaction a = {.sa_sigaction = hear, .sa_flags = flags | SA_SIGINFO};
  if (masked)
    sigaddset(&a.sa_mask, masked);
  sigaction(s, &a, 0);
}
static void again(int s) {
  heard[s]++;
  if (heard[s] < 4)
    raise(s);
  heard[0] = heard[0] * 10 + heard[s];
}
static long bits(void) {
  uint64_t set;
  syscall(SYS_rt_sigprocmask, 0, 0, &set, 8);
  return set;
}
static long masked_then;
static void look(int s) {
  (void)s;
  masked_then = bits();
}
static void change(int s, siginfo_t *i, void *c) {
  (void)s, (void)i;
  sigaddset(&((ucontext_t *)c)->uc_sigmask, SIGUSR2);
}
static sigjmp_buf back;
static int depth;
static void overflow(int s) {
  (void)s;
  siglongjmp(back, 1);
}
static int deeper(int n) {
  volatile char room[4096];
  room[0] = n;
  depth = n;
  return n < 1 << 20 ? deeper(n + 1) + room[0] : 0;
}
static uint64_t one(int s) { return 1UL << (s - 1); }
static int died(int (*what)(void)) {
  fflush(stdout);
  pid_t id = fork();
  if (!id) {
    alarm(60);
    int r = what();
    fflush(stdout);
    _exit(r);
  }
  int status;
  waitpid(id, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}
static int blocked_fault(void) {
  sigset_t s;
  sigemptyset(&s), sigaddset(&s, SIGSEGV);
  act(SIGSEGV, 0, 0);
  sigprocmask(SIG_BLOCK, &s, 0);
  *(volatile int *)8 = 1;
  return 0;
}
static int ignored_fault(void) {
  signal(SIGSEGV, SIG_IGN);
  *(volatile int *)8 = 1;
  return 0;
}
static int sent_ignored(void) {
  signal(SIGSEGV, SIG_IGN);
  return raise(SIGSEGV);
}
static int no_stack(void) {
  signal(SIGUSR1, overflow);
  asm volatile("mov $0x1000, %%rsp; mov $39, %%eax; syscall; mov %%eax, %%edi; mov $10, %%esi; mov $62, %%eax; syscall; mov $60, %%eax; syscall" ::: "rax", "rdi", "rsi", "memory");
  return 0;
}
static int aborts(void) {
  signal(SIGABRT, SIG_IGN);
  abort();
}
static int cpu_limit(void) {
  setrlimit(RLIMIT_CPU, &(struct rlimit){1, 1});
  for (volatile int i = 1; i;)
    ;
  return 0;
}
int main(void) {
  struct itimerspec s = {{0, 0}, {0, 0}}, was;
  struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 2, .sigev_value = {.sival_int = 77}};
  timer_t t, u;
  siginfo_t i;
  sigset_t set, all;
  sigfillset(&all), sigemptyset(&set), sigaddset(&set, SIGRTMIN + 2), sigaddset(&set, SIGALRM);
  sigprocmask(SIG_BLOCK, &set, 0);
  SHOW(timer_create(CLOCK_MONOTONIC, &e, &t));
  SHOW(timer_create(CLOCK_REALTIME, 0, &u));
  // Its signal: once, with how often it missed.
  s.it_value.tv_nsec = 1000000;
  SHOW(timer_settime(t, 0, &s, &was) ?: was.it_value.tv_nsec);
  SHOW(sigwaitinfo(&set, &i) == SIGRTMIN + 2);
  SHOW(i.si_code);
  SHOW(i.si_value.sival_int);
  SHOW(i.si_overrun);
  SHOW(timer_gettime(t, &was) ?: was.it_value.tv_nsec + was.it_value.tv_sec);
  SHOW(timer_settime(u, 0, &s, 0));
  SHOW(sigwaitinfo(&set, &i) == SIGALRM);
  SHOW(i.si_code);
  IS(i.si_value.sival_int >= 0);
  s.it_interval.tv_nsec = 1000000;
  timer_settime(t, 0, &s, 0);
  UNTIL((sigpending(&set), sigismember(&set, SIGRTMIN + 2)));
  SHOW(sigismember(&set, SIGRTMIN + 2));
  s.it_value.tv_nsec = s.it_interval.tv_nsec = 0;
  SHOW(timer_settime(t, 0, &s, &was) ?: was.it_interval.tv_nsec);
  sigemptyset(&set), sigaddset(&set, SIGRTMIN + 2), sigaddset(&set, SIGALRM);
  sigtimedwait(&set, &i, &(struct timespec){0, 0});
  // One that is deleted while its signal waits.
  s.it_value.tv_nsec = 1000;
  timer_settime(t, 0, &s, 0);
  usleep(5000);
  SHOW(timer_delete(t));
  SHOW(timer_delete(t));
  SHOW(sigtimedwait(&set, &i, &(struct timespec){0, 0}) == SIGRTMIN + 2 || errno == EAGAIN);
  // By an absolute time that is over, and by a past one with an interval.
  clock_gettime(CLOCK_REALTIME, &s.it_value);
  s.it_value.tv_sec -= 50;
  SHOW(timer_settime(u, TIMER_ABSTIME, &s, 0));
  SHOW(sigtimedwait(&set, &i, &(struct timespec){20, 0}) == SIGALRM);
  s.it_interval.tv_sec = 20;
  SHOW(timer_settime(u, TIMER_ABSTIME, &s, 0));
  SHOW(sigtimedwait(&set, &i, &(struct timespec){20, 0}) == SIGALRM);
  SHOW(i.si_overrun);
  SHOW(timer_gettime(u, &was) ?: was.it_interval.tv_sec);
  SHOW(was.it_value.tv_sec < 10);
  timer_delete(u);
  e.sigev_notify = SIGEV_NONE, e.sigev_signo = 99;
  SHOW(timer_create(CLOCK_MONOTONIC, &e, &t));
  s = (struct itimerspec){{0, 0}, {50, 0}};
  SHOW(timer_settime(t, 0, &s, 0) ?: timer_gettime(t, &was) ?: was.it_value.tv_sec / 10);
  s.it_value = (struct timespec){0, 1000};
  SHOW(timer_settime(t, 0, &s, 0));
  usleep(2000);
  SHOW(timer_gettime(t, &was) ?: was.it_value.tv_nsec);
  timer_delete(t);
  int id;
  struct {
    union sigval value;
    int signo, notify, tid;
    char rest[40];
  } k = {{0}, SIGUSR1, SIGEV_SIGNAL | SIGEV_THREAD_ID, 99999, {0}};
  SHOW(syscall(SYS_timer_create, CLOCK_MONOTONIC, &k, &id));
  k.tid = getpid();
  SHOW(syscall(SYS_timer_create, CLOCK_MONOTONIC, &k, &id) ?: syscall(SYS_timer_delete, id));
  k.signo = 0;
  SHOW(syscall(SYS_timer_create, CLOCK_MONOTONIC, &k, &id));
  clockid_t clocks[] = {CLOCK_BOOTTIME, CLOCK_TAI, CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID, CLOCK_MONOTONIC_COARSE, CLOCK_REALTIME_COARSE, CLOCK_REALTIME_ALARM, -1, -6};
  for (int n = 0; n < 9; n++)
    printf("clock %d: %s\n", (int)clocks[n], syscall(SYS_timer_create, clocks[n], 0, &id) ? strerrorname_np(errno) : syscall(SYS_timer_delete, id) ? "?" : "works");
  sigprocmask(SIG_UNBLOCK, &all, 0);
  // The order in which they come.
  for (int n = 1; n < 65; n++)
    if (n == SIGUSR1 || n == SIGUSR2 || n == SIGTERM || n == SIGCHLD || n >= SIGRTMIN)
      act(n, 0, 0);
  sigprocmask(SIG_BLOCK, &all, 0);
  union sigval v = {0};
  for (int n = 0; n < 3; n++)
    v.sival_int = n, sigqueue(getpid(), SIGRTMIN + 2 - n, v), sigqueue(getpid(), SIGRTMIN + 2 - n, v);
  kill(getpid(), SIGTERM), kill(getpid(), SIGUSR2), kill(getpid(), SIGUSR1);
  syscall(SYS_tgkill, getpid(), getpid(), SIGCHLD);
  ordered = 0;
  struct sigaction mask = {.sa_sigaction = hear, .sa_flags = SA_SIGINFO};
  sigfillset(&mask.sa_mask);
  for (int n = 1; n < 65; n++)
    if (n == SIGUSR1 || n == SIGUSR2 || n == SIGTERM || n == SIGCHLD || n >= SIGRTMIN)
      sigaction(n, &mask, 0);
  sigprocmask(SIG_UNBLOCK, &all, 0);
  for (int n = 0; n < ordered; n++)
    printf("%d ", order[n]);
  puts("");
  // Values and codes.
  v.sival_int = -7;
  sigqueue(getpid(), SIGUSR1, v);
  printf("%d %d %d %d\n", last_code, last_value, last_pid == getpid(), last_errno);
  kill(getpid(), SIGUSR1);
  printf("%d %d\n", last_code, last_pid == getpid());
  raise(SIGUSR1);
  printf("%d %d\n", last_code, last_pid == getpid());
  siginfo_t own = {.si_code = -50, .si_errno = 9, .si_pid = 3, .si_signo = 4};
  SHOW(syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, &own));
  printf("%d %d %d\n", last_code, last_pid, last_errno);
  own.si_code = 5;
  SHOW(syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, &own));
  SHOW(syscall(SYS_rt_sigqueueinfo, getppid(), 0, &own));
  own.si_code = SI_TKILL;
  SHOW(syscall(SYS_rt_sigqueueinfo, getppid(), 0, &own));
  SHOW(syscall(SYS_rt_tgsigqueueinfo, getpid(), getpid(), SIGUSR1, &own));
  // Masks within handlers.
  struct sigaction l = {.sa_handler = look};
  sigaddset(&l.sa_mask, SIGTERM), sigaddset(&l.sa_mask, SIGKILL);
  sigaction(SIGUSR1, &l, 0), raise(SIGUSR1);
  printf("%lx %lx\n", masked_then, bits());
  l.sa_flags = SA_NODEFER, sigaction(SIGUSR1, &l, 0), raise(SIGUSR1);
  printf("%lx\n", masked_then);
  sigaddset(&l.sa_mask, SIGUSR1), sigaction(SIGUSR1, &l, 0), raise(SIGUSR1);
  printf("%lx\n", masked_then);
  sigaction(SIGUSR1, 0, &l);
  SHOW(sigismember(&l.sa_mask, SIGKILL));
  SHOW(l.sa_flags == (SA_NODEFER | 0x04000000) || l.sa_flags == SA_NODEFER);
  struct sigaction c = {.sa_sigaction = change, .sa_flags = SA_SIGINFO};
  sigaction(SIGUSR1, &c, 0), raise(SIGUSR1);
  printf("%lx\n", bits());
  sigprocmask(SIG_UNBLOCK, &all, 0);
  struct sigaction r = {.sa_handler = again, .sa_flags = SA_NODEFER};
  heard[0] = heard[SIGUSR1] = 0, sigaction(SIGUSR1, &r, 0), raise(SIGUSR1);
  SHOW(heard[0]);
  r.sa_flags = 0, heard[0] = heard[SIGUSR1] = 0, sigaction(SIGUSR1, &r, 0), raise(SIGUSR1);
  SHOW(heard[0]);
  r.sa_flags = SA_RESETHAND, r.sa_handler = look, sigaction(SIGUSR1, &r, 0), raise(SIGUSR1);
  printf("%lx\n", masked_then);
  sigaction(SIGUSR1, 0, &r);
  SHOW(r.sa_handler == SIG_DFL);
  // Another stack.
  static char room[65536];
  stack_t alt = {room, 0, sizeof room}, old;
  SHOW(sigaltstack(&alt, 0));
  act(SIGUSR1, SA_ONSTACK, 0), raise(SIGUSR1);
  SHOW(on_stack);
  IS((char *)last_where >= room && (char *)last_where < room + sizeof room);
  act(SIGUSR1, 0, 0), raise(SIGUSR1);
  SHOW(on_stack);
  alt.ss_size = MINSIGSTKSZ - 1;
  SHOW(sigaltstack(&alt, &old));
  SHOW(old.ss_sp == room && old.ss_size == sizeof room);
  alt.ss_size = sizeof room;
  SHOW(sigaltstack(&alt, &old) ?: old.ss_flags);
  // A stack that ran over.
  struct sigaction o = {.sa_handler = overflow, .sa_flags = SA_ONSTACK};
  sigaction(SIGSEGV, &o, 0);
  setrlimit(RLIMIT_STACK, &(struct rlimit){1 << 20, RLIM_INFINITY});
  if (!sigsetjmp(back, 1))
    deeper(1);
  IS(depth > 200 && depth < 300);
  o.sa_handler = SIG_DFL, sigaction(SIGSEGV, &o, 0);
  alt.ss_flags = SS_DISABLE, sigaltstack(&alt, 0);
  // What ends a process.
  SHOW(died(blocked_fault));
  SHOW(died(ignored_fault));
  SHOW(died(sent_ignored));
  SHOW(died(no_stack));
  SHOW(died(aborts));
  SHOW(died(cpu_limit));
  // Which calls begin again.
  int p[2], q[2];
  char b[10];
  struct timeval limit = {30, 0};
  pipe(p), socketpair(AF_UNIX, SOCK_STREAM, 0, q);
  int ep = epoll_create1(0), timer = timerfd_create(CLOCK_MONOTONIC, 0), f = signalfd(-1, &(sigset_t){{one(SIGUSR2)}}, 0);
  static int word;
  struct sigaction w = {.sa_handler = look};
  sigaction(SIGALRM, &w, 0);
  for (int n = 0; n < 2; n++) {
    w.sa_flags = n ? SA_RESTART : 0, sigaction(SIGALRM, &w, 0);
#define AGAIN(what) rings(1), SHOW_(#what, what), rings(0)
#define SHOW_(name, call)                                                                                                              \
  ({                                                                                                                                   \
    errno = 0;                                                                                                                         \
    long r_ = (call);                                                                                                                  \
    printf("%d %s: %ld %s\n", n, name, r_, errno ? strerrorname_np(errno) : "-");                                                      \
  })
    AGAIN(pause());
    AGAIN(usleep(30000000));
    AGAIN(poll(0, 0, 30000));
    AGAIN(select(0, 0, 0, 0, &(struct timeval){30, 0}));
    AGAIN(epoll_wait(ep, &(struct epoll_event){}, 1, 30000));
    AGAIN(clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){30, 0}, 0));
    AGAIN(syscall(SYS_futex, &word, 0, 0, &(struct timespec){30, 0}, 0, 0));
    AGAIN(sigtimedwait(&(sigset_t){{one(SIGUSR2)}}, 0, &(struct timespec){30, 0}));
    setsockopt(q[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    AGAIN(recv(q[0], b, 1, 0));
    if (!n) {
      limit.tv_sec = 0, setsockopt(q[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), limit.tv_sec = 30;
      AGAIN(recv(q[0], b, 1, 0));
      AGAIN(read(p[0], b, 1));
      AGAIN(read(timer, b, 8));
      AGAIN(read(f, b, 8) == -1 && errno == EINVAL);
      AGAIN(syscall(SYS_futex, &word, 0, 0, 0, 0, 0));
      AGAIN(sigwaitinfo(&(sigset_t){{one(SIGUSR2)}}, 0));
      AGAIN(read(eventfd(0, 0), b, 8));
    }
  }
  // A timer's descriptor.
  struct itimerspec ts = {{0, 0}, {0, 1000000}};
  uint64_t count = 0;
  SHOW(timerfd_settime(timer, 0, &ts, 0) ?: read(timer, &count, 8));
  SHOW(count);
  ts.it_interval.tv_nsec = 5000000;
  timerfd_settime(timer, 0, &ts, 0);
  usleep(22000);
  SHOW(read(timer, &count, 8));
  IS(count >= 4);
  timerfd_settime(timer, 0, &(struct itimerspec){{0, 0}, {0, 1000}}, 0);
  usleep(1000);
  SHOW(timerfd_settime(timer, 0, &(struct itimerspec){{0, 0}, {9, 0}}, &was) ?: was.it_value.tv_nsec);
  fcntl(timer, F_SETFL, O_NONBLOCK);
  SHOW(read(timer, &count, 8));
  SHOW(timerfd_settime(timer, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &ts, 0));
  int real = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK);
  SHOW(timerfd_settime(real, TFD_TIMER_CANCEL_ON_SET, &(struct itimerspec){{0, 0}, {9, 0}}, 0));
  SHOW(timerfd_settime(real, 4, &ts, 0));
}
