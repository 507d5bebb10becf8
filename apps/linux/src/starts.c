// execve(2), clone3(2), pidfd_open(2), waitid(2), prctl(2): what a new program and a new process keep
#include "show.h"
#include <linux/sched.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
static void none(int s) { (void)s; }
static int in_child(int (*what)(void)) {
  fflush(stdout);
  pid_t id = fork();
  if (!id) {
    int result = what();
    fflush(stdout);
    _exit(result);
  }
  int status;
  waitpid(id, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}
static char *me[] = {"me", "kept", 0};
// What is there after an exec.
static int kept(void) {
  uint64_t set = 0;
  struct sigaction a;
  stack_t s;
  struct itimerval t;
  char name[16];
  int n = 0;
  syscall(SYS_rt_sigprocmask, 0, 0, &set, 8);
  SHOW(set);
  syscall(SYS_rt_sigpending, &set, 8);
  SHOW(set);
  SHOW(sigaction(SIGUSR1, 0, &a) ?: a.sa_handler == SIG_DFL);
  SHOW(a.sa_flags);
  SHOW(sigaction(SIGUSR2, 0, &a) ?: a.sa_handler == SIG_IGN);
  SHOW(sigaction(SIGCHLD, 0, &a) ?: a.sa_handler == SIG_IGN);
  SHOW(sigaltstack(0, &s) ?: s.ss_flags);
  SHOW(getitimer(ITIMER_REAL, &t) ?: t.it_value.tv_sec > 40);
  SHOW(syscall(SYS_timer_gettime, 0, &(struct itimerspec){}));
  SHOW(prctl(PR_GET_NAME, name));
  puts(name);
  SHOW(prctl(PR_GET_DUMPABLE));
  SHOW(prctl(PR_GET_KEEPCAPS));
  SHOW(prctl(PR_GET_CHILD_SUBREAPER, &n) ?: n);
  SHOW(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
  SHOW(fcntl(40, F_GETFD));
  SHOW(fcntl(41, F_GETFD));
  SHOW(getpriority(PRIO_PROCESS, 0));
  SHOW(umask(0));
  SHOW(getauxval(AT_SECURE));
  IS(!strcmp((char *)getauxval(AT_EXECFN), "/proc/self/exe"));
  SHOW(getauxval(AT_PAGESZ));
  SHOW(getauxval(AT_CLKTCK));
  SHOW(getauxval(AT_UID) * 10 + getauxval(AT_EUID));
  IS(getauxval(AT_RANDOM) && getauxval(AT_SYSINFO_EHDR) && getauxval(AT_ENTRY) && getauxval(AT_PHDR));
  SHOW(getauxval(AT_PHENT));
  SHOW(syscall(SYS_gettid) == getpid());
  struct flock l = {.l_type = F_WRLCK};
  if (!fork()) {
    SHOW(fcntl(40, F_GETLK, &l) ?: l.l_type);
    SHOW(l.l_pid == getppid());
    fflush(stdout);
    _exit(0);
  }
  // It has no children that end: this waits for all.
  wait(0);
  struct rlimit r;
  SHOW(getrlimit(RLIMIT_CORE, &r) ?: (long)r.rlim_cur);
  SHOW(getgroups(0, 0));
  char line[100] = {0};
  int f = open("/proc/self/cmdline", O_RDONLY);
  SHOW(read(f, line, 100));
  puts(line);
  puts(line + 3);
  return 0;
}
static void *thread(void *a) {
  execve("/proc/self/exe", a, (char *[]){"E=1", 0});
  return 0;
}
static void prepare(void) {
  signal(SIGUSR1, none), signal(SIGUSR2, SIG_IGN), signal(SIGCHLD, SIG_IGN);
  sigset_t set;
  sigemptyset(&set), sigaddset(&set, SIGTERM), sigaddset(&set, SIGRTMIN);
  sigprocmask(SIG_BLOCK, &set, 0);
  raise(SIGTERM);
  raise(SIGRTMIN);
  static char room[20000];
  stack_t s = {room, 0, sizeof room};
  sigaltstack(&s, 0);
  timer_t t;
  timer_create(CLOCK_MONOTONIC, 0, &t);
  alarm(50);
  prctl(PR_SET_NAME, "another");
  prctl(PR_SET_PDEATHSIG, SIGUSR2);
  prctl(PR_SET_DUMPABLE, 0);
  prctl(PR_SET_KEEPCAPS, 1);
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  int f = open("/tmp/starts", O_CREAT | O_RDWR, 0600);
  dup2(f, 40), dup3(f, 41, O_CLOEXEC);
  close(f);
  struct flock l = {.l_type = F_WRLCK};
  fcntl(40, F_SETLK, &l);
  setpriority(PRIO_PROCESS, 0, 3);
  umask(017);
  setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
}
static int by_leader(void) {
  prepare();
  execve("/proc/self/exe", me, 0);
  return 99;
}
static int by_thread(void) {
  prepare();
  pthread_t t;
  pthread_create(&t, 0, thread, me);
  pause();
  return 98;
}
static int text(const char *name, const char *says, int mode) {
  int f = open(name, O_CREAT | O_WRONLY | O_TRUNC, 0700);
  write(f, says, strlen(says));
  fchmod(f, mode);
  return close(f);
}
static int scripts(void) {
  char self[200] = {0}, line[400];
  readlink("/proc/self/exe", self, 199);
  sprintf(line, "#!%s say  two words \nrest", self);
  text("a", line, 0700);
  text("b", "#!/tmp/starts.d/a x\n", 0700);
  text("c", "#! /tmp/starts.d/b\n", 0700);
  text("d", "#!/tmp/starts.d/c", 0700);
  text("e", "#!/tmp/starts.d/d", 0700);
  text("f", "#!/tmp/starts.d/e", 0700);
  text("g", "#!/tmp/starts.d/f", 0700);
  char *args[] = {"zero", "one", 0};
  for (char *name = (char[]){"./a"}; name[2] <= 'g'; name[2]++) {
    fflush(stdout);
    pid_t id = fork();
    if (!id) {
      execve(name, args, 0);
      printf("%s: %s\n", name, strerrorname_np(errno));
      fflush(stdout);
      _exit(1);
    }
    waitpid(id, 0, 0);
  }
  memset(line, ' ', 400), memcpy(line, "#!", 2), line[399] = 0;
  text("long", line, 0700);
  SHOW(execve("./long", args, 0));
  memset(line + 2, 'x', 390);
  text("long", line, 0700);
  SHOW(execve("./long", args, 0));
  text("h", "#!\t \n", 0700);
  SHOW(execve("./h", args, 0));
  text("h", "#", 0700);
  SHOW(execve("./h", args, 0));
  text("h", "#!zz", 0700);
  SHOW(execve("./h", args, 0));
  text("h", "#!./a/\n", 0700);
  SHOW(execve("./h", args, 0));
  text("h", "#!/tmp\n", 0700);
  SHOW(execve("./h", args, 0));
  text("plain", "x", 0600);
  text("h", "#!/tmp/starts.d/plain\n", 0700);
  SHOW(execve("./h", args, 0));
  int busy = open("a", O_WRONLY | O_APPEND);
  SHOW(execve("./b", args, 0));
  SHOW(execve("./a", args, 0));
  close(busy);
  symlink("loop", "loop");
  SHOW(execve("./loop", args, 0));
  SHOW(execve("./none/x", args, 0));
  SHOW(execve("./a/", args, 0));
  mkfifo("fifo", 0700);
  SHOW(execve("./fifo", args, 0));
  SHOW(execve("/dev/null", args, 0));
  // By a descriptor.
  int f = open("a", O_RDONLY | O_CLOEXEC), e = open("/proc/self/exe", O_PATH | O_CLOEXEC), d = open(".", O_RDONLY);
  SHOW(syscall(SYS_execveat, f, "", args, 0, 0));
  SHOW(syscall(SYS_execveat, d, "", args, 0, AT_EMPTY_PATH));
  SHOW(syscall(SYS_execveat, f, "x", args, 0, 0));
  SHOW(syscall(SYS_execveat, d, "loop", args, 0, AT_SYMLINK_NOFOLLOW));
  fflush(stdout);
  if (!fork())
    _exit(syscall(SYS_execveat, e, "", (char *[]){"at", "say", 0}, 0, AT_EMPTY_PATH) ? 99 : 0);
  wait(0);
  // No arguments are one that is empty.
  fflush(stdout);
  if (!fork())
    _exit(execve("/proc/self/exe", 0, 0) ? 98 : 0);
  int status;
  wait(&status);
  SHOW(WEXITSTATUS(status));
  // What is too long.
  static char *many[70000];
  static char large[131072];
  memset(large, 'x', 131071);
  SHOW(execve("/proc/self/exe", (char *[]){"me", "quiet", large, 0}, 0) == -1 && errno == E2BIG);
  large[131071] = 'x';
  for (int i = 0; i < 69999; i++)
    many[i] = large + 131000;
  large[131071] = 0;
  SHOW(execve("/proc/self/exe", many, 0));
  setrlimit(RLIMIT_STACK, &(struct rlimit){1 << 20, RLIM_INFINITY});
  for (int i = 0; i < 69999; i++)
    many[i] = i < 4000 ? large + 131000 : 0;
  SHOW(execve("/proc/self/exe", many, 0));
  return 0;
}
// Ids of a file.
static int ids(void) {
  system("cp /proc/self/exe /tmp/starts.d/suid 2>/dev/null; true");
  char self[200] = {0}, line[400];
  readlink("/proc/self/exe", self, 199);
  sprintf(line, "cat %s >/tmp/starts.d/suid", self);
  system(line);
  chown("suid", 5, 6), chmod("suid", 06755);
  chmod(".", 0755);
  int (*nothing)(void) = 0;
  (void)nothing;
  for (int i = 0; i < 3; i++) {
    fflush(stdout);
    if (!fork()) {
      if (i)
        setgid(9), setuid(9);
      if (i == 2)
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
      prctl(PR_SET_PDEATHSIG, SIGUSR1);
      execve("./suid", (char *[]){"suid", "ids", 0}, 0);
      _exit(1);
    }
    wait(0);
  }
  return 0;
}
static int tell_ids(void) {
  uid_t r, e, s;
  int n = 0;
  getresuid(&r, &e, &s);
  printf("users %d %d %d", r, e, s);
  getresgid(&r, &e, &s);
  printf(" groups %d %d %d secure %ld dumpable %d\n", r, e, s, getauxval(AT_SECURE), prctl(PR_GET_DUMPABLE));
  SHOW(prctl(PR_GET_PDEATHSIG, &n) ?: n);
  char path[100] = {0};
  SHOW(readlink("/proc/self/exe", path, 99));
  return 0;
}
int main(int count, char **args) {
  if (count > 1 && !strcmp(args[1], "kept"))
    return kept();
  if (count > 1 && !strcmp(args[1], "ids"))
    return tell_ids();
  if (count > 1 && !strcmp(args[1], "quiet"))
    return 0;
  if (count == 1 && !args[0][0]) {
    puts("no name");
    return 33;
  }
  if (count > 1) {
    for (int i = 1; i < count; i++)
      printf("[%s] ", args[i]);
    puts("");
    char name[16];
    prctl(PR_GET_NAME, name);
    SHOW(strlen(name) > 0);
    return 0;
  }
  system("rm -rf /tmp/starts.d; mkdir /tmp/starts.d");
  chdir("/tmp/starts.d");
  SHOW(in_child(by_leader));
  SHOW(in_child(by_thread));
  SHOW(in_child(scripts));
  SHOW(in_child(ids));
}
