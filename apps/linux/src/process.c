// fork(2), execve(2), wait(2), exit(2), setpgid(2), setsid(2)
#include "show.h"
extern char **environ;
int main(int argc, char **argv) {
  if (argc > 1) {
    printf("again: %s %s\n", argv[1], environ[0] ? environ[0] : "-");
    return 7;
  }
  int status = 0;
  SHOW(wait(&status));
  SHOW(waitpid(99999, &status, 0));
  SHOW(waitpid(-1, &status, 0x100));
  SHOW(kill(99999, 0));
  SHOW(kill(getpid(), 0));
  SHOW(kill(getpid(), 99));
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    IS(getppid() != getpid());
    fflush(stdout);
    _exit(3);
  }
  SHOW(waitpid(child, &status, 0) == child);
  SHOW(WEXITSTATUS(status));
  SHOW(waitpid(child, &status, 0));
  child = fork();
  if (child == 0)
    for (;;)
      pause();
  SHOW(waitpid(child, &status, WNOHANG));
  siginfo_t info;
  SHOW(kill(child, SIGSTOP));
  SHOW(waitid(P_PID, child, &info, WSTOPPED));
  SHOW(info.si_code == CLD_STOPPED && info.si_status == SIGSTOP);
  SHOW(kill(child, SIGCONT));
  SHOW(waitpid(child, &status, WCONTINUED) == child && WIFCONTINUED(status));
  SHOW(kill(child, SIGKILL));
  SHOW(waitid(P_PID, child, &info, WEXITED | WNOWAIT));
  SHOW(info.si_code == CLD_KILLED && info.si_status == SIGKILL);
  SHOW(waitpid(child, &status, 0) == child && WTERMSIG(status) == SIGKILL);
  char *args[] = {"name", "arg", 0}, *env[] = {"A=b", 0};
  SHOW(execve("/tmp/none", args, env));
  SHOW(execve("/tmp", args, env));
  SHOW(execve("/proc/self/exe", (char **)8, env));
  int f = open("/tmp/text", O_WRONLY | O_CREAT | O_TRUNC, 0700);
  write(f, "garbage", 7);
  // Nobody runs what is open to be written, or writes to what runs.
  SHOW(execve("/tmp/text", args, env));
  close(f);
  SHOW(open("/proc/self/exe", O_WRONLY));
  SHOW(open("/proc/self/exe", O_RDWR | O_TRUNC));
  SHOW(truncate("/proc/self/exe", 1));
  SHOW(execve("/tmp/text", args, env));
  chmod("/tmp/text", 0600);
  SHOW(execve("/tmp/text", args, env));
  f = open("/tmp/text", O_WRONLY | O_TRUNC);
  char self[200] = {0}, line[300];
  readlink("/proc/self/exe", self, sizeof self - 1);
  int length = sprintf(line, "#!%s script\n", self);
  write(f, line, length);
  close(f);
  chmod("/tmp/text", 0700);
  fflush(stdout);
  if (fork() == 0) {
    execve("/tmp/text", args, env);
    _exit(99);
  }
  wait(&status);
  SHOW(WEXITSTATUS(status));
  unlink("/tmp/text");
  // vfork: the child's memory is this one's.
  volatile int changed = 0;
  if (vfork() == 0) {
    changed = 1;
    _exit(0);
  }
  SHOW(changed);
  wait(&status);
  // Orphans are the first process's.
  int p[2];
  pipe(p);
  if (fork() == 0) {
    if (fork() == 0) {
      usleep(50000);
      char c = getppid() == 1 ? 'y' : 'n';
      write(p[1], &c, 1);
      _exit(0);
    }
    _exit(0);
  }
  wait(&status);
  char c = 0;
  read(p[0], &c, 1);
  IS(c == 'y' || c == 'n');
  fflush(stdout);
  if (fork() == 0) {
    SHOW(setsid() == getpid());
    SHOW(setsid());
    SHOW(getsid(0) == getpid() && getpgrp() == getpid());
    SHOW(setpgid(0, 0));
    SHOW(setpgid(1 << 20, 0));
    SHOW(getpgid(1 << 20));
    fflush(stdout);
    _exit(0);
  }
  wait(&status);
  if (fork() == 0) {
    setpgid(0, 0);
    pid_t mate = fork();
    if (mate == 0)
      for (;;)
        pause();
    signal(SIGTERM, SIG_IGN);
    usleep(20000);
    kill(0, SIGTERM);
    waitpid(mate, &status, 0);
    _exit(WTERMSIG(status));
  }
  wait(&status);
  SHOW(WEXITSTATUS(status));
  struct rusage use;
  SHOW(wait4(-1, &status, 0, &use));
  fflush(stdout);
  // Descriptors of processes.
  int fd = syscall(SYS_pidfd_open, 99999, 0);
  SHOW(fd);
  SHOW(syscall(SYS_pidfd_open, getpid(), 1));
  child = fork();
  if (child == 0)
    for (;;)
      pause();
  fd = syscall(SYS_pidfd_open, child, 0);
  struct pollfd ended = {fd, POLLIN, 0};
  SHOW(fcntl(fd, F_GETFD));
  SHOW(fcntl(fd, F_GETFL) == O_RDWR);
  SHOW(read(fd, &c, 1));
  SHOW(poll(&ended, 1, 0));
  SHOW(syscall(SYS_pidfd_send_signal, fd, 0, 0, 0));
  SHOW(syscall(SYS_pidfd_send_signal, fd, 0, 0, 9));
  SHOW(syscall(SYS_pidfd_send_signal, 0, 0, 0, 0));
  SHOW(waitid(P_PIDFD, 0, &info, WEXITED));
  SHOW(syscall(SYS_pidfd_send_signal, fd, SIGKILL, 0, 0));
  SHOW(poll(&ended, 1, -1) == 1 && ended.revents == POLLIN);
  SHOW(waitid(P_PIDFD, fd, &info, WEXITED));
  SHOW(info.si_pid == child && info.si_status == SIGKILL);
  SHOW(waitid(P_PIDFD, fd, &info, WEXITED));
  SHOW(syscall(SYS_pidfd_send_signal, fd, 0, 0, 0));
  SHOW(poll(&ended, 1, 0) == 1 && ended.revents & POLLIN);
  close(fd);
  int close_it = open("/dev/null", O_RDONLY | O_CLOEXEC);
  (void)close_it;
  if (fork() == 0) {
    execve("/proc/self/exe", args, env);
    _exit(99);
  }
  wait(&status);
  SHOW(WEXITSTATUS(status));
}
