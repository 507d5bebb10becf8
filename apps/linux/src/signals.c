// sigaction(2), sigprocmask(2), signal(7)
#include "show.h"
static volatile int count, last, code, nested;
static volatile void *address;
static void note(int s, siginfo_t *i, void *c) {
  (void)c;
  count++;
  last = s;
  code = i->si_code;
  address = i->si_addr;
}
static void plain(int s) { (void)s; count++; }
static void inner(int s) {
  (void)s;
  nested++;
  if (nested < 3)
    raise(SIGUSR2);
}
static sigset_t set(int s) {
  sigset_t all;
  sigemptyset(&all);
  if (s)
    sigaddset(&all, s);
  return all;
}
static int fatal(int s) {
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    raise(s);
    _exit(0);
  }
  int status;
  waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? WTERMSIG(status) : -1;
}
static void *other(void *a) {
  (void)a;
  becomes(getpid(), 'S');
  kill(getpid(), SIGUSR1);
  return 0;
}
int main(void) {
  struct sigaction a = {.sa_sigaction = note, .sa_flags = SA_SIGINFO}, old;
  SHOW(sigaction(SIGKILL, &a, 0));
  SHOW(sigaction(SIGSTOP, &a, 0));
  SHOW(sigaction(65, &a, 0));
  SHOW(sigaction(SIGUSR1, &a, 0));
  SHOW(sigaction(SIGUSR1, 0, &old));
  IS(old.sa_sigaction == note && (old.sa_flags & SA_SIGINFO));
  SHOW(raise(SIGUSR1));
  SHOW(count);
  SHOW(code == SI_TKILL);
  kill(getpid(), SIGUSR1);
  SHOW(code == SI_USER);
  union sigval v = {.sival_int = 5};
  SHOW(sigqueue(getpid(), SIGUSR1, v));
  SHOW(code == SI_QUEUE);
  // Blocked ones wait; standard ones count once, real-time ones each.
  sigset_t usr = set(SIGUSR1), was, pending;
  SHOW(sigprocmask(SIG_BLOCK, &usr, &was));
  SHOW(sigprocmask(99, &usr, 0));
  count = 0;
  raise(SIGUSR1);
  raise(SIGUSR1);
  SHOW(count);
  sigpending(&pending);
  SHOW(sigismember(&pending, SIGUSR1));
  SHOW(sigprocmask(SIG_UNBLOCK, &usr, 0));
  SHOW(count);
  sigset_t rt = set(SIGRTMIN + 1);
  sigaction(SIGRTMIN + 1, &a, 0);
  sigprocmask(SIG_BLOCK, &rt, 0);
  count = 0;
  for (int i = 0; i < 3; i++)
    sigqueue(getpid(), SIGRTMIN + 1, v);
  sigprocmask(SIG_UNBLOCK, &rt, 0);
  SHOW(count);
  // Taken synchronously.
  sigprocmask(SIG_BLOCK, &usr, 0);
  raise(SIGUSR1);
  siginfo_t info;
  struct timespec soon = {0, 20000000};
  SHOW(sigtimedwait(&usr, &info, &soon));
  SHOW(sigtimedwait(&usr, &info, &soon));
  int f = signalfd(-1, &usr, SFD_NONBLOCK);
  struct signalfd_siginfo si;
  SHOW(read(f, &si, sizeof si));
  raise(SIGUSR1);
  SHOW(read(f, &si, sizeof si) == sizeof si && si.ssi_signo == SIGUSR1);
  SHOW(read(f, &si, 3));
  // Faults.
  struct sigaction once = {.sa_sigaction = note, .sa_flags = SA_SIGINFO | SA_RESETHAND};
  (void)once;
  SHOW(fatal(SIGTERM));
  SHOW(fatal(SIGCHLD));
  SHOW(fatal(SIGABRT));
  signal(SIGTERM, SIG_IGN);
  SHOW(fatal(SIGTERM));
  // A handler may be interrupted by its own signal if it says so.
  struct sigaction n = {.sa_handler = inner, .sa_flags = SA_NODEFER};
  sigaction(SIGUSR2, &n, 0);
  raise(SIGUSR2);
  SHOW(nested);
  // Interrupted calls: begun again or not.
  sigprocmask(SIG_UNBLOCK, &usr, 0);
  int p[2];
  pipe(p);
  char c;
  pthread_t t;
  struct sigaction e = {.sa_handler = plain};
  sigaction(SIGALRM, &e, 0);
  struct itimerval soonish = {{0, 0}, {0, 30000}};
  rings(1);
  SHOW(read(p[0], &c, 1));
  rings(0);
  e.sa_flags = SA_RESTART;
  sigaction(SIGALRM, &e, 0);
  fflush(stdout);
  if (fork() == 0) {
    usleep(150000);
    write(p[1], "z", 1);
    _exit(0);
  }
  setitimer(ITIMER_REAL, &soonish, 0);
  SHOW(read(p[0], &c, 1));
  wait(0);
  soon.tv_sec = 30;
  struct timespec left = {9, 9};
  rings(1);
  SHOW(nanosleep(&soon, &left));
  rings(0);
  IS(left.tv_sec >= 10 && left.tv_sec <= 30);
  sigset_t none = set(0);
  sigprocmask(SIG_BLOCK, &usr, 0);
  count = 0;
  raise(SIGUSR1);
  SHOW(sigsuspend(&none));
  SHOW(count);
  sigprocmask(SIG_UNBLOCK, &usr, 0);
  count = 0;
  pthread_create(&t, 0, other, 0);
  SHOW(pause());
  SHOW(count);
  pthread_join(t, 0);
  stack_t s = {.ss_sp = malloc(65536), .ss_size = 100}, was_stack;
  SHOW(sigaltstack(&s, 0));
  s.ss_size = 65536;
  SHOW(sigaltstack(&s, &was_stack));
  SHOW(was_stack.ss_flags == SS_DISABLE);
}
