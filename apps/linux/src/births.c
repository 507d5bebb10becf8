// clone(2), clone3(2), pidfd_open(2), pidfd_getfd(2), waitid(2), wait4(2), prctl(2), exit(2), set_tid_address(2)
#include "show.h"
#include <linux/futex.h>
#include <linux/sched.h>
#include <sys/prctl.h>
static volatile int heard[65];
static siginfo_t told;
static void hear(int s, siginfo_t *i, void *c) {
  (void)c;
  heard[s]++;
  told = *i;
}
static long clone3(struct clone_args *a) {
  fflush(stdout);
  return syscall(SYS_clone3, a, sizeof *a);
}
// A child that should not be ends at once.
static long refused(struct clone_args *a) {
  long id = clone3(a);
  if (!id)
    _exit(0);
  return id;
}
static const char *tell(int status) {
  static char text[50];
  sprintf(text, "%s %d", WIFEXITED(status) ? "exit" : WIFSIGNALED(status) ? WCOREDUMP(status) ? "core" : "signal" : WIFSTOPPED(status) ? "stop" : "continue",
          WIFEXITED(status) ? WEXITSTATUS(status) : WIFSTOPPED(status) ? WSTOPSIG(status) : WTERMSIG(status));
  return text;
}
static void info(siginfo_t *i, pid_t child) { printf("signo %d code %d pid %s status %d uid %d errno %d\n", i->si_signo, i->si_code, i->si_pid == child ? "child" : i->si_pid ? "other" : "0", i->si_status, i->si_uid, i->si_errno); }
static int sleeper(void *a) {
  (void)a;
  for (int i = 0; i < 1000; i++)
    pause();
  return 0;
}
static void *ends(void *a) {
  usleep(20000);
  return a;
}
int main(void) {
  struct sigaction a = {.sa_sigaction = hear, .sa_flags = SA_SIGINFO | SA_RESTART};
  for (int s = SIGUSR1; s <= SIGCHLD; s++)
    if (s == SIGUSR1 || s == SIGUSR2 || s == SIGCHLD)
      sigaction(s, &a, 0);
  int status, fd = -1, tid = -1, child_tid = -1;
  siginfo_t i;
  pid_t id;
  // What clone3(2) refuses.
#define C3(...) SHOW(refused(&(struct clone_args){__VA_ARGS__}))
  C3(.flags = CLONE_SIGHAND);
  C3(.flags = CLONE_VM | CLONE_THREAD);
  C3(.flags = CLONE_THREAD | CLONE_SIGHAND | CLONE_VM, .exit_signal = SIGCHLD);
  C3(.flags = CLONE_DETACHED);
  C3(.flags = 1UL << 40);
  C3(.flags = CLONE_PARENT, .exit_signal = SIGCHLD);
  C3(.flags = CLONE_FS | CLONE_NEWNS);
  C3(.flags = CLONE_PIDFD | CLONE_DETACHED);
  C3(.flags = CLONE_PIDFD, .pidfd = 8, .exit_signal = SIGCHLD);
  C3(.stack_size = 4096);
  C3(.set_tid = 8);
  C3(.set_tid_size = 99);
  C3(.flags = CLONE_CLEAR_SIGHAND | CLONE_SIGHAND | CLONE_VM);
  C3(.exit_signal = 65);
  C3(.exit_signal = 1UL << 33);
  // More than is known, and not 0.
  struct {
    struct clone_args a;
    uint64_t more[2];
  } large = {{.exit_signal = SIGCHLD}, {0, 1}};
  SHOW(syscall(SYS_clone3, &large, sizeof large));
  SHOW(syscall(SYS_clone3, &large, 5000));
  SHOW(syscall(SYS_clone3, &large, 63));
  // One with all.
  struct clone_args all = {.flags = CLONE_PIDFD | CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | CLONE_CLEAR_SIGHAND, .pidfd = (uintptr_t)&fd, .parent_tid = (uintptr_t)&tid, .child_tid = (uintptr_t)&child_tid, .exit_signal = SIGUSR2};
  id = clone3(&all);
  if (!id) {
    struct sigaction was;
    sigaction(SIGUSR1, 0, &was);
    _exit((was.sa_handler == SIG_DFL) * 10 + (child_tid == getpid()));
  }
  SHOW(tid == id);
  SHOW(child_tid);
  SHOW(fcntl(fd, F_GETFD));
  SHOW(wait4(id, &status, WNOHANG, 0));
  SHOW(waitpid(-1, &status, 0));
  SHOW(waitpid(id, &status, __WCLONE) == id);
  puts(tell(status));
  SHOW(heard[SIGUSR2]);
  info(&told, id);
  SHOW(waitid(P_PIDFD, fd, &i, WEXITED));
  close(fd);
  // No signal at all.
  id = clone3(&(struct clone_args){.exit_signal = 0});
  if (!id)
    _exit(4);
  SHOW(waitpid(id, &status, 0));
  SHOW(waitpid(id, &status, __WALL) == id);
  puts(tell(status));
  SHOW(heard[SIGCHLD]);
  // Its signal and what waitid says.
  id = fork();
  if (!id)
    _exit(258 + 5);
  SHOW(waitid(P_ALL, 0, &i, WEXITED | WNOWAIT));
  info(&i, id);
  info(&told, id);
  SHOW(heard[SIGCHLD]);
  SHOW(waitid(P_PGID, 0, &i, WEXITED));
  info(&i, id);
  memset(&i, 7, sizeof i);
  id = fork();
  if (!id)
    sleeper(0);
  SHOW(waitid(P_ALL, 0, &i, WEXITED | WNOHANG));
  SHOW(i.si_pid);
  SHOW(i.si_signo);
  SHOW(syscall(SYS_waitid, P_PID, id, 0, WEXITED | WNOHANG, 0));
  struct rusage use;
  memset(&use, 7, sizeof use);
  SHOW(syscall(SYS_waitid, P_PID, id, &i, WEXITED | WNOHANG, &use) ?: use.ru_nivcsw == 0x0707070707070707);
  SHOW(syscall(SYS_waitid, P_PID, id, 8, WEXITED | WNOHANG, 0));
  heard[SIGCHLD] = 0;
  kill(id, SIGSTOP);
  SHOW(waitid(P_PID, id, &i, WSTOPPED | WNOWAIT));
  info(&i, id);
  SHOW(waitid(P_PID, id, &i, WSTOPPED));
  SHOW(waitid(P_PID, id, &i, WSTOPPED | WNOHANG) ?: i.si_pid);
  UNTIL(heard[SIGCHLD]);
  SHOW(heard[SIGCHLD]);
  info(&told, id);
  kill(id, SIGTSTP), kill(id, SIGCONT);
  // It is continued at once, and tells of it once it runs.
  UNTIL(heard[SIGCHLD] > 1);
  SHOW(waitid(P_PID, id, &i, WCONTINUED));
  info(&i, id);
  SHOW(waitid(P_PID, id, &i, WCONTINUED | WNOHANG) ?: i.si_pid);
  SHOW(heard[SIGCHLD]);
  kill(id, SIGQUIT);
  SHOW(waitpid(id, &status, 0) == id);
  printf("%s\n", WIFSIGNALED(status) ? "signal" : "other");
  SHOW(WTERMSIG(status));
  // Who wants to hear of ends alone.
  a.sa_flags |= SA_NOCLDSTOP, sigaction(SIGCHLD, &a, 0), heard[SIGCHLD] = 0;
  id = fork();
  if (!id)
    sleeper(0);
  kill(id, SIGSTOP);
  SHOW(waitpid(id, &status, WUNTRACED) == id);
  puts(tell(status));
  SHOW(heard[SIGCHLD]);
  kill(id, SIGKILL);
  SHOW(waitpid(id, &status, 0) == id);
  SHOW(heard[SIGCHLD]);
  // Who does not want to wait.
  a.sa_flags |= SA_NOCLDWAIT, sigaction(SIGCHLD, &a, 0), heard[SIGCHLD] = 0;
  id = fork();
  if (!id)
    _exit(5);
  SHOW(waitpid(id, &status, 0));
  SHOW(heard[SIGCHLD]);
  a.sa_flags = SA_SIGINFO | SA_RESTART, sigaction(SIGCHLD, &a, 0);
  // A pidfd.
  id = fork();
  if (!id)
    sleeper(0);
  fd = syscall(SYS_pidfd_open, id, 0);
  int block = syscall(SYS_pidfd_open, id, O_NONBLOCK);
  SHOW(fcntl(block, F_GETFL) == (O_RDWR | O_NONBLOCK));
  SHOW(waitid(P_PIDFD, block, &i, WEXITED));
  SHOW(syscall(SYS_pidfd_open, -1, 0));
  SHOW(syscall(SYS_pidfd_open, 0, 0));
  SHOW(syscall(SYS_pidfd_getfd, fd, 0, 1));
  SHOW(syscall(SYS_pidfd_getfd, fd, 999, 0));
  SHOW(syscall(SYS_pidfd_getfd, 0, 0, 0));
  SHOW(syscall(SYS_pidfd_getfd, 999, 0, 0));
  int copied = syscall(SYS_pidfd_getfd, fd, 0, 0);
  SHOW(fcntl(copied, F_GETFD));
  SHOW(ftruncate(fd, 0));
  SHOW(lseek(fd, 0, SEEK_SET));
  SHOW(write(fd, "x", 1));
  siginfo_t sent = {.si_code = SI_USER, .si_signo = SIGUSR1};
  SHOW(syscall(SYS_pidfd_send_signal, fd, SIGUSR2, &sent, 0));
  sent.si_signo = SIGUSR2;
  SHOW(syscall(SYS_pidfd_send_signal, fd, SIGUSR2, &sent, 0));
  sent.si_code = SI_QUEUE;
  SHOW(syscall(SYS_pidfd_send_signal, fd, 99, 0, 0));
  SHOW(syscall(SYS_pidfd_send_signal, fd, SIGKILL, 0, 0));
  SHOW(waitpid(id, &status, 0) == id);
  SHOW(syscall(SYS_pidfd_getfd, fd, 0, 0));
  SHOW(syscall(SYS_pidfd_send_signal, fd, SIGKILL, 0, 0));
  close(fd);
  // Whose parent dies.
  int p[2], q[2];
  char c;
  pipe(p), pipe(q);
  fflush(stdout);
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  pid_t self = getpid();
  id = fork();
  if (!id) {
    if (!fork()) {
      prctl(PR_SET_PDEATHSIG, SIGUSR1);
      heard[SIGUSR1] = 0;
      write(q[1], "x", 1);
      while (!heard[SIGUSR1])
        usleep(5000);
      c = (getppid() == self) * 4 + (told.si_code == SI_USER) * 2 + (told.si_pid != self);
      write(p[1], &c, 1);
      _exit(6);
    }
    read(q[0], &c, 1);
    _exit(7);
  }
  SHOW(read(p[0], &c, 1) ? c : -1);
  SHOW(waitpid(id, &status, 0) == id && WEXITSTATUS(status) == 7);
  SHOW(waitpid(-1, &status, 0) > 0 && WEXITSTATUS(status) == 6);
  SHOW(waitpid(-1, &status, 0));
  prctl(PR_SET_CHILD_SUBREAPER, 0);
  // A leader that ends before its threads.
  fflush(stdout);
  id = fork();
  if (!id) {
    pthread_t t;
    pthread_create(&t, 0, ends, 0);
    syscall(SYS_exit, 3);
  }
  usleep(5000);
  char path[50], state[300];
  sprintf(path, "/proc/%d/stat", id);
  SHOW(waitpid(id, &status, 0) == id);
  puts(tell(status));
  fflush(stdout);
  id = fork();
  if (!id) {
    pthread_t t;
    pthread_create(&t, 0, (void *(*)(void *))sleeper, 0);
    syscall(SYS_exit, 3);
  }
  usleep(20000);
  SHOW(waitpid(id, &status, WNOHANG));
  sprintf(path, "/proc/%d/stat", id);
  int stat = open(path, O_RDONLY);
  kill(id, SIGTERM);
  SHOW(waitpid(id, &status, 0) == id);
  puts(tell(status));
  SHOW(pread(stat, state, 10, 0));
  // A zombie.
  id = fork();
  if (!id)
    _exit(0);
  waitid(P_PID, id, &i, WEXITED | WNOWAIT);
  sprintf(path, "/proc/%d/stat", id);
  stat = open(path, O_RDONLY);
  state[read(stat, state, 299)] = 0;
  printf("state %c\n", strrchr(state, ')')[2]);
  SHOW(kill(id, SIGKILL));
  SHOW(setpgid(id, 0));
  SHOW(getpgid(id) == getpgrp());
  SHOW(getsid(id) == getsid(0));
  SHOW(getpriority(PRIO_PROCESS, id));
  SHOW(syscall(SYS_pidfd_open, id, 0) > 0);
  sprintf(path, "/proc/%d/maps", id);
  SHOW(open(path, O_RDONLY) > 0);
  sprintf(path, "/proc/%d/cmdline", id);
  SHOW(read(open(path, O_RDONLY), state, 100));
  SHOW(waitpid(id, 0, 0) == id);
  // Groups of children that have started another program.
  pipe2(p, O_CLOEXEC);
  id = fork();
  if (!id) {
    execl("/bin/sleep", "sleep", "9", (char *)0);
    _exit(1);
  }
  // The end of the pipe is closed by the start.
  close(p[1]), read(p[0], &c, 1);
  SHOW(setpgid(id, id));
  kill(id, SIGKILL);
  wait(0);
  SHOW(setpgid(id, id));
}
