// wait4(2), waitid(2), exit(2), clone(2), setpgid(2): who is waited for, by what, and what is told
#include "show.h"
#include <linux/sched.h>
#include <sys/prctl.h>
static pid_t born(int status) {
  fflush(stdout);
  pid_t id = fork();
  if (!id)
    _exit(status);
  return id;
}
// One that waits until it is told, in a group of its own if that is wanted.
static int gate[2];
static pid_t waits(int group) {
  fflush(stdout);
  pid_t id = fork();
  if (!id) {
    char c;
    close(gate[1]);
    read(gate[0], &c, 1);
    _exit(7);
  }
  if (group >= 0)
    setpgid(id, group);
  return id;
}
static void gates(void) { close(gate[0]), close(gate[1]), pipe(gate); }
static const char *of(int s) {
  static char text[60];
  sprintf(text, "%x %s %d", s & 0xffff, WIFEXITED(s) ? "exited" : WIFSIGNALED(s) ? WCOREDUMP(s) ? "core" : "killed" : WIFSTOPPED(s) ? "stopped" : WIFCONTINUED(s) ? "continued" : "?",
          WIFEXITED(s) ? WEXITSTATUS(s) : WIFSIGNALED(s) ? WTERMSIG(s) : WIFSTOPPED(s) ? WSTOPSIG(s) : 0);
  return text;
}
static siginfo_t i;
static void told(long r, pid_t id) {
  if (r < 0)
    printf("  %s\n", strerrorname_np(errno));
  else
    printf("  %ld signo %d code %d status %d pid %s uid %d\n", r, i.si_signo, i.si_code, i.si_status, i.si_pid == id ? "the one" : i.si_pid ? "another" : "0", i.si_uid);
}
#define ID(type, id, options, whom)                                                                                                    \
  do {                                                                                                                                 \
    printf("waitid(%s, %s):\n", #type, #options);                                                                                      \
    memset(&i, 0x55, sizeof i);                                                                                                        \
    told(waitid(type, id, &i, options), whom);                                                                                         \
  } while (0)
static volatile int heard[65], codes[65];
static void hear(int s, siginfo_t *info, void *c) {
  (void)c;
  heard[s]++, codes[s] = info->si_code;
}
static void *thread(void *a) {
  int status;
  long id = (long)a;
  SHOW(waitpid(id, &status, 0) == id);
  return 0;
}
static void *forks(void *a) { return (void *)(long)(born(4) + 0 * (a != 0)); }
static int sleeper(void *a) {
  (void)a;
  return 9;
}
static int all(void) {
  int status;
  struct rusage r;
  // All ways to end.
  const int signals[] = {SIGTERM, SIGKILL, SIGSEGV, SIGABRT, SIGQUIT, SIGPIPE, SIGUSR1, SIGALRM, SIGXCPU, SIGSYS, SIGTRAP, SIGRTMIN, 64};
  setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
  for (unsigned n = 0; n < sizeof signals / sizeof *signals; n++) {
    gates();
    pid_t id = waits(-1);
    kill(id, signals[n]);
    ID(P_PID, id, WEXITED | WNOWAIT, id);
    SHOW(waitpid(id, &status, 0) == id);
    puts(of(status));
  }
  for (int n = 0; n < 3; n++) {
    pid_t id = born((int[]){0, 255, 256 + 5}[n]);
    ID(P_PID, id, WEXITED | WNOWAIT, id);
    ID(P_ALL, 0, WEXITED | WNOWAIT, id);
    ID(P_ALL, 12345, WEXITED | WNOWAIT | WNOHANG, id);
    SHOW(wait4(-1, &status, 0, &r) == id);
    puts(of(status));
    IS(r.ru_utime.tv_sec == 0 && r.ru_maxrss > 0);
  }
  ID(P_ALL, 0, WEXITED | WNOHANG, 0);
  // Stops and continues.
  gates();
  pid_t id = waits(-1), other;
  ID(P_PID, id, WEXITED | WNOHANG, id);
  ID(P_PID, id, WSTOPPED | WNOHANG, id);
  static const int stops[] = {SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU};
  for (int n = 0; n < 4; n++) {
    kill(id, stops[n]), becomes(id, 'T');
    ID(P_PID, id, WEXITED | WNOHANG, id);
    SHOW(waitpid(id, &status, WNOHANG));
    ID(P_PID, id, WSTOPPED | WNOWAIT, id);
    ID(P_PID, id, WSTOPPED | WCONTINUED | WEXITED, id);
    ID(P_PID, id, WSTOPPED | WNOHANG, id);
    SHOW(waitpid(id, &status, WUNTRACED | WNOHANG));
    kill(id, stops[n]), usleep(2000);
    SHOW(waitpid(id, &status, WUNTRACED | WNOHANG));
    kill(id, SIGCONT), becomes(id, 'S');
    SHOW(waitpid(id, &status, WUNTRACED | WNOHANG));
    ID(P_PID, id, WCONTINUED | WNOWAIT, id);
    if (n % 2)
      ID(P_PID, id, WCONTINUED, id);
    else {
      SHOW(waitpid(id, &status, WCONTINUED) == id);
      puts(of(status));
    }
    ID(P_PID, id, WCONTINUED | WNOHANG, id);
  }
  // A stop that was not told is not, once it goes on; a continue is not behind another stop.
  kill(id, SIGSTOP), becomes(id, 'T'), kill(id, SIGCONT), becomes(id, 'S');
  ID(P_PID, id, WSTOPPED | WNOHANG, id);
  kill(id, SIGSTOP), becomes(id, 'T');
  ID(P_PID, id, WCONTINUED | WNOHANG, id);
  ID(P_PID, id, WSTOPPED | WNOHANG, id);
  kill(id, SIGTERM), usleep(3000);
  ID(P_PID, id, WEXITED | WNOHANG, id);
  kill(id, SIGKILL);
  ID(P_PID, id, WEXITED | WSTOPPED | WCONTINUED, id);
  // SIGCHLD of each.
  struct sigaction a = {.sa_sigaction = hear, .sa_flags = SA_SIGINFO | SA_RESTART};
  sigaction(SIGCHLD, &a, 0);
  gates();
  id = waits(-1);
  kill(id, SIGSTOP), becomes(id, 'T');
  UNTIL(heard[SIGCHLD]);
  printf("stop %d %d\n", heard[SIGCHLD], codes[SIGCHLD]);
  kill(id, SIGCONT), becomes(id, 'S');
  printf("continue %d %d\n", heard[SIGCHLD], codes[SIGCHLD]);
  kill(id, SIGKILL), waitpid(id, 0, 0);
  printf("end %d %d\n", heard[SIGCHLD], codes[SIGCHLD]);
  a.sa_flags |= SA_NOCLDSTOP, sigaction(SIGCHLD, &a, 0);
  heard[SIGCHLD] = 0;
  id = waits(-1);
  kill(id, SIGSTOP), becomes(id, 'T'), kill(id, SIGCONT), becomes(id, 'S');
  printf("without stops %d\n", heard[SIGCHLD]);
  ID(P_PID, id, WCONTINUED | WNOHANG, id);
  close(gate[1]);
  SHOW(waitpid(id, &status, 0) == id);
  a.sa_flags = SA_SIGINFO | SA_NOCLDWAIT, sigaction(SIGCHLD, &a, 0);
  heard[SIGCHLD] = 0;
  id = born(1);
  // Or the signal may end the wait.
  UNTIL(heard[SIGCHLD]);
  SHOW(waitpid(id, &status, 0));
  SHOW(waitpid(-1, &status, 0));
  printf("without zombies %d\n", heard[SIGCHLD]);
  signal(SIGCHLD, SIG_IGN);
  gates(), id = waits(-1), other = waits(-1);
  SHOW(waitpid(-1, &status, WNOHANG));
  kill(id, SIGKILL);
  UNTIL(kill(id, 0));
  SHOW(kill(id, 0));
  close(gate[1]);
  SHOW(waitpid(-1, &status, 0));
  signal(SIGCHLD, SIG_DFL);
  // Groups.
  gates();
  id = waits(0), other = waits(-1);
  SHOW(waitpid(-id, &status, WNOHANG));
  ID(P_PGID, id, WEXITED | WNOHANG, id);
  ID(P_PGID, 0, WEXITED | WNOHANG, other);
  ID(P_PGID, 99999, WEXITED | WNOHANG, other);
  SHOW(waitpid(0, &status, WNOHANG));
  pid_t third = waits(id);
  SHOW(getpgid(third) == id);
  kill(-id, SIGKILL);
  SHOW(waitpid(-id, &status, 0) > 0);
  SHOW(waitpid(-id, &status, 0) > 0);
  SHOW(waitpid(-id, &status, 0));
  SHOW(setpgid(other, id));
  kill(other, SIGKILL);
  SHOW(waitpid(0, &status, 0) == other);
  // Descriptors.
  id = born(6);
  int fd = syscall(SYS_pidfd_open, id, 0);
  struct pollfd p = {fd, POLLIN, 0};
  SHOW(poll(&p, 1, 5000) * 100 + p.revents);
  ID(P_PIDFD, fd, WEXITED | WNOWAIT, id);
  ID(P_PIDFD, fd, WEXITED, id);
  ID(P_PIDFD, fd, WEXITED, id);
  SHOW(poll(&p, 1, 0) * 100 + p.revents);
  ID(P_PIDFD, 999, WEXITED, id);
  ID(P_PIDFD, -1, WEXITED, id);
  ID(P_PIDFD, gate[0], WEXITED, id);
  id = waits(-1), fd = syscall(SYS_pidfd_open, id, O_NONBLOCK);
  ID(P_PIDFD, fd, WEXITED, id);
  kill(id, SIGKILL), waitpid(id, 0, 0);
  // Errors.
  ID(P_PID, getpid(), WEXITED | WNOHANG, 0);
  ID(P_PID, 1, WEXITED | WNOHANG, 0);
  ID(P_PID, 0, WEXITED | WNOHANG, 0);
  ID(P_ALL, 0, WNOHANG, 0);
  ID(P_ALL, 0, WNOWAIT, 0);
  ID(P_ALL, 0, WEXITED | 0x1000, 0);
  ID(7, 0, WEXITED, 0);
  SHOW(waitpid(-1, &status, WNOWAIT));
  SHOW(waitpid(-1, &status, WEXITED));
  SHOW(waitpid(-1, &status, 0x40));
  SHOW(waitpid(INT32_MIN, &status, 0));
  SHOW(waitpid(-99999, &status, 0));
  id = born(3);
  ID(P_PID, id, WEXITED | WNOWAIT, id);
  SHOW(syscall(SYS_wait4, id, 8, 0, 0));
  SHOW(waitpid(id, &status, WNOHANG) == id);
  id = born(3);
  SHOW(syscall(SYS_waitid, P_PID, id, 8, WEXITED, 0));
  id = born(3);
  SHOW(syscall(SYS_waitid, P_PID, id, 0, WEXITED, 0));
  id = born(3);
  SHOW(syscall(SYS_waitid, P_PID, id, &i, WEXITED, &r));
  IS(r.ru_maxrss > 0);
  // Children that send something else, or nothing.
  for (int n = 0; n < 3; n++) {
    static const int tells[] = {0, SIGUSR1, SIGCHLD};
    static char stack[3][8192];
    heard[SIGUSR1] = 0;
    a.sa_flags = SA_SIGINFO, sigaction(SIGUSR1, &a, 0);
    id = clone(sleeper, stack[n] + 8192, tells[n], 0);
    becomes(id, 'Z');
    SHOW(waitpid(id, &status, WNOHANG) == id);
    SHOW(waitpid(id, &status, __WCLONE | WNOHANG) == id);
    SHOW(waitpid(id, &status, __WALL | WNOHANG) == id);
    printf("%d heard\n", heard[SIGUSR1]);
  }
  id = born(5);
  SHOW(waitpid(id, &status, __WCLONE));
  ID(P_PID, id, WEXITED | __WCLONE, id);
  ID(P_PID, id, WEXITED | __WALL, id);
  // Threads wait for each other's children, unless they do not want to.
  id = born(8);
  ID(P_PID, id, WEXITED | WNOWAIT, id);
  pthread_t t;
  pthread_create(&t, 0, thread, (void *)(long)id);
  pthread_join(t, 0);
  void *got;
  pthread_create(&t, 0, forks, 0);
  pthread_join(t, &got);
  SHOW(waitpid((long)got, &status, 0) == (long)got && WEXITSTATUS(status) == 4);
  // Orphans go to who wants them.
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  gates();
  fflush(stdout);
  if (!(id = fork())) {
    waits(-1);
    _exit(0);
  }
  waitpid(id, 0, 0);
  SHOW(waitpid(-1, &status, WNOHANG));
  close(gate[1]);
  SHOW(waitpid(-1, &status, 0) > 0);
  puts(of(status));
  prctl(PR_SET_CHILD_SUBREAPER, 0);
  // One that is interrupted.
  a.sa_flags = SA_SIGINFO, sigaction(SIGALRM, &a, 0);
  gates(), id = waits(-1);
  rings(1);
  SHOW(waitpid(id, &status, 0));
  ID(P_PID, id, WEXITED, id);
  rings(0);
  kill(id, SIGKILL), waitpid(id, 0, 0);
  struct rusage self, children;
  getrusage(RUSAGE_SELF, &self), getrusage(RUSAGE_CHILDREN, &children);
  IS(children.ru_maxrss > 0 && self.ru_maxrss > 0);
  return 0;
}
int main(void) {
  // In a session of its own, whose leader could let it go on: nobody stops by a terminal otherwise.
  if (fork()) {
    wait(0);
    return 0;
  }
  setsid();
  if (fork()) {
    wait(0);
    return 0;
  }
  setpgid(0, 0);
  alarm(100);
  return all();
}
