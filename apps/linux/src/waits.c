// fork(2), clone(2), execve(2), wait4(2), waitid(2), kill(2), futex(2), vfork(2), exit(2)
#include "show.h"
#include <linux/futex.h>
#include <linux/sched.h>
static pid_t born(int status) {
  fflush(stdout);
  pid_t id = fork();
  if (!id)
    _exit(status);
  return id;
}
static long futex(void *a, int op, long v, void *t, void *b, long c) { return syscall(SYS_futex, a, op, v, t, b, c); }
int main(int count, char **arguments) {
  if (count > 1) {
    printf("started as %s with %d, %s\n", arguments[0], count, getenv("A") ?: "nothing");
    return 0;
  }
  int status;
  siginfo_t i;
  struct rusage r;
  SHOW(wait4(-1, &status, 0, 0));
  SHOW(wait4(99999, &status, 0, 0));
  SHOW(wait4(1, &status, WNOHANG, 0));
  SHOW(wait4(-1, &status, 99, 0));
  SHOW(wait4(-1, &status, 1 << 20, 0));
  SHOW(wait4(1 << 31, &status, 0, 0));
  pid_t a = born(3);
  SHOW(waitid(P_PID, a, &i, WEXITED | WNOWAIT));
  IS(i.si_pid == a && i.si_code == CLD_EXITED && i.si_status == 3 && i.si_signo == SIGCHLD);
  SHOW(waitid(P_PID, a, &i, 0));
  SHOW(waitid(P_PID, a, &i, WEXITED | 0x100));
  SHOW(waitid(9, a, &i, WEXITED));
  SHOW(waitid(P_PID, 0, &i, WEXITED));
  SHOW(waitid(P_PID, -1, &i, WEXITED));
  SHOW(waitid(P_PGID, -1, &i, WEXITED));
  SHOW(waitid(P_PIDFD, 999, &i, WEXITED));
  SHOW(waitid(P_PIDFD, 0, &i, WEXITED));
  SHOW(wait4(a, &status, 0, &r) == a);
  SHOW(kill(a, 0));
  a = born(4);
  SHOW(wait4(0, &status, 0, 0) == a);
  SHOW(WEXITSTATUS(status));
  a = born(5);
  SHOW(wait4(-getpgrp(), &status, 0, 0) == a);
  fflush(stdout);
  a = fork();
  if (!a)
    for (;;)
      pause();
  SHOW(wait4(a, &status, WNOHANG, 0));
  SHOW(waitid(P_PID, a, &i, WEXITED | WNOHANG) ?: i.si_pid);
  SHOW(kill(a, SIGSTOP));
  SHOW(wait4(a, &status, WUNTRACED, 0) == a && WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
  SHOW(wait4(a, &status, WUNTRACED | WNOHANG, 0));
  SHOW(kill(a, SIGCONT));
  SHOW(wait4(a, &status, WCONTINUED, 0) == a && WIFCONTINUED(status));
  kill(a, SIGKILL);
  SHOW(wait4(a, &status, 0, 0) == a && WTERMSIG(status) == SIGKILL);
  SHOW(kill(99999, 0));
  SHOW(kill(getpid(), 65));
  SHOW(kill(getpid(), -1));
  SHOW(kill(-99999, 0));
  SHOW(syscall(SYS_tgkill, getpid(), 99999, 0));
  SHOW(syscall(SYS_tgkill, 99999, getpid(), 0));
  SHOW(syscall(SYS_tgkill, -1, getpid(), 0));
  SHOW(syscall(SYS_tkill, 0, 0));
  SHOW(syscall(SYS_tkill, getpid(), 0));
  signal(SIGCHLD, SIG_IGN);
  a = born(1);
  SHOW(wait4(a, &status, 0, 0));
  signal(SIGCHLD, SIG_DFL);
  SHOW(syscall(SYS_clone, CLONE_THREAD, 0, 0, 0, 0));
  SHOW(syscall(SYS_clone, CLONE_SIGHAND, 0, 0, 0, 0));
  SHOW(syscall(SYS_clone3, 8, 64));
  SHOW(syscall(SYS_clone3, &(struct clone_args){0}, 8));
  SHOW(syscall(SYS_clone3, &(struct clone_args){.exit_signal = 99}, sizeof(struct clone_args)));
  SHOW(syscall(SYS_clone3, &(struct clone_args){.stack = 4096}, sizeof(struct clone_args)));
  SHOW(syscall(SYS_clone3, &(struct clone_args){.flags = CLONE_THREAD}, sizeof(struct clone_args)));
  a = vfork();
  if (!a)
    _exit(9);
  SHOW(wait4(a, &status, __WALL, 0) == a && WEXITSTATUS(status) == 9);
  SHOW(execve("", 0, 0));
  SHOW(execve("/none", 0, 0));
  SHOW(execve("/tmp", 0, 0));
  SHOW(execve((char *)8, 0, 0));
  SHOW(execve("/proc/self/exe", (char **)8, 0));
  SHOW(execve("/proc/self/exe", (char *[]){(char *)8, 0}, 0));
  SHOW(execve("/proc/self/exe/x", 0, 0));
  unlink("/tmp/text");
  int f = open("/tmp/text", O_CREAT | O_WRONLY | O_TRUNC, 0644);
  SHOW(execve("/tmp/text", 0, 0));
  chmod("/tmp/text", 0755);
  close(f);
  SHOW(execve("/tmp/text", 0, 0));
  f = open("/tmp/text", O_WRONLY);
  write(f, "plain text", 10);
  close(f);
  SHOW(execve("/tmp/text", 0, 0));
  f = open("/tmp/text", O_WRONLY | O_TRUNC);
  write(f, "#!/none/sh\n", 11);
  close(f);
  SHOW(execve("/tmp/text", 0, 0));
  f = open("/tmp/text", O_WRONLY | O_TRUNC);
  write(f, "#!/tmp/text\n", 12);
  close(f);
  SHOW(execve("/tmp/text", 0, 0));
  f = open("/tmp/text", O_WRONLY | O_TRUNC);
  write(f, "#!\n", 3);
  close(f);
  SHOW(execve("/tmp/text", 0, 0));
  f = open("/tmp/text", O_WRONLY | O_TRUNC);
  write(f, "\177ELF\2\1\1", 7);
  close(f);
  SHOW(execve("/tmp/text", 0, 0));
  static char large[200000];
  memset(large, 'x', sizeof large - 1);
  SHOW(execve("/proc/self/exe", (char *[]){"me", large, 0}, 0));
  SHOW(syscall(SYS_execveat, 999, "x", 0, 0, 0));
  SHOW(syscall(SYS_execveat, AT_FDCWD, "", 0, 0, 0));
  SHOW(syscall(SYS_execveat, AT_FDCWD, "/proc/self/exe", 0, 0, 0x8000));
  SHOW(syscall(SYS_execveat, AT_FDCWD, "/proc/self/exe", 0, 0, AT_SYMLINK_NOFOLLOW));
  // futex(2)
  static int word = 5, other = 6;
  struct timespec ms = {0, 2000000}, bad = {0, 1000000000}, past = {0, 0};
  SHOW(futex(&word, FUTEX_WAIT, 4, 0, 0, 0));
  SHOW(futex(&word, FUTEX_WAIT, 5, &ms, 0, 0));
  SHOW(futex(&word, FUTEX_WAIT, 5, &bad, 0, 0));
  SHOW(futex(&word, FUTEX_WAIT, 5, (void *)8, 0, 0));
  SHOW(futex((char *)&word + 1, FUTEX_WAIT, 5, &ms, 0, 0));
  SHOW(futex((void *)8, FUTEX_WAIT, 5, &ms, 0, 0));
  SHOW(futex((void *)8, FUTEX_WAKE, 1, 0, 0, 0));
  SHOW(futex((void *)8, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0));
  SHOW(futex((char *)&word + 2, FUTEX_WAKE, 1, 0, 0, 0));
  SHOW(futex(&word, FUTEX_WAKE, 1, 0, 0, 0));
  SHOW(futex(&word, FUTEX_WAIT_BITSET, 5, &past, 0, 1));
  SHOW(futex(&word, FUTEX_WAIT_BITSET, 5, &past, 0, 0));
  SHOW(futex(&word, FUTEX_WAKE_BITSET, 5, 0, 0, 0));
  SHOW(futex(&word, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 5, &past, 0, 1));
  SHOW(futex(&word, FUTEX_WAKE | FUTEX_CLOCK_REALTIME, 5, 0, 0, 0));
  SHOW(futex(&word, FUTEX_REQUEUE, 1, (void *)1, &other, 0));
  SHOW(futex(&word, FUTEX_CMP_REQUEUE, 1, (void *)1, &other, 4));
  SHOW(futex(&word, FUTEX_CMP_REQUEUE, 1, (void *)1, &other, 5));
  SHOW(futex(&word, FUTEX_CMP_REQUEUE, -1, (void *)1, &other, 5));
  SHOW(futex(&word, FUTEX_WAKE_OP, 1, (void *)1, &other, FUTEX_OP(FUTEX_OP_ADD, 2, FUTEX_OP_CMP_EQ, 6)));
  SHOW(other);
  SHOW(futex(&word, FUTEX_WAKE_OP, 1, (void *)1, (void *)8, 0));
  SHOW(futex(&word, 99, 0, 0, 0, 0));
  SHOW(futex(&word, FUTEX_FD, 0, 0, 0, 0));
  fflush(stdout);
  setenv("A", "b", 1);
  execl("/proc/self/exe", "again", "x", (char *)0);
}
