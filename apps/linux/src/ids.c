// setuid(2), setresuid(2), setgroups(2), setpgid(2), setsid(2), getpriority(2), getrlimit(2), prctl(2), capget(2), sched_*(2)
#include "show.h"
#include <sys/sendfile.h>
#include <grp.h>
#include <linux/capability.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
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
static int three(void) {
  uid_t r, e, s;
  getresuid(&r, &e, &s);
  return r * 10000 + e * 100 + s;
}
static int users(void) {
  gid_t groups[4] = {5, 6, 7};
  SHOW(setgroups(3, groups));
  SHOW(getgroups(0, 0));
  SHOW(getgroups(2, groups));
  SHOW(getgroups(-1, groups));
  SHOW(getgroups(4, groups));
  SHOW(setgroups(65537, groups));
  SHOW(syscall(SYS_setgroups, 2, 8));
  SHOW(syscall(SYS_setuid, -1));
  SHOW(syscall(SYS_setgid, -1));
  SHOW(syscall(SYS_setresuid, 1, 2, 3) ?: three());
  SHOW(syscall(SYS_setresuid, -1, -1, -1) ?: three());
  SHOW(syscall(SYS_setresuid, 3, 1, 2) ?: three());
  SHOW(syscall(SYS_setresuid, 4, -1, -1));
  SHOW(syscall(SYS_setuid, 3) ?: three());
  SHOW(syscall(SYS_setuid, 0));
  SHOW(syscall(SYS_setreuid, 1, 2));
  SHOW(syscall(SYS_setreuid, 3, 2) ?: three());
  SHOW(syscall(SYS_setgid, 9));
  SHOW(syscall(SYS_setregid, 9, -1));
  SHOW(syscall(SYS_setresgid, -1, 9, -1));
  SHOW(syscall(SYS_setgroups, 0, 0));
  SHOW(setfsuid(0));
  SHOW(setfsuid(-1));
  SHOW(kill(1, 0));
  SHOW(getpriority(PRIO_PROCESS, 0));
  SHOW(setpriority(PRIO_PROCESS, 0, 5) ?: getpriority(PRIO_PROCESS, 0));
  SHOW(setpriority(PRIO_PROCESS, 0, 0));
  SHOW(nice(-1));
  SHOW(setrlimit(RLIMIT_NOFILE, &(struct rlimit){100, 100}));
  SHOW(setrlimit(RLIMIT_NOFILE, &(struct rlimit){100, 200}));
  SHOW(sethostname("x", 1));
  SHOW(syscall(SYS_chroot, "/tmp"));
  SHOW(syscall(SYS_clock_settime, 0, &(struct timespec){1, 0}));
  return 0;
}
static int groups(void) {
  SHOW(setpgid(0, 0));
  SHOW(getpgrp() == getpid());
  SHOW(setpgid(1, 0));
  SHOW(setpgid(-1, 0));
  SHOW(setpgid(0, -1));
  SHOW(setpgid(99999, 0));
  SHOW(getpgid(99999));
  SHOW(getpgid(-1));
  SHOW(getsid(99999));
  SHOW(setsid());
  return 0;
}
static int session(void) {
  SHOW(setsid() == getpid());
  SHOW(getsid(0) == getpid());
  SHOW(setsid());
  SHOW(setpgid(0, 0));
  SHOW(open("/dev/tty", O_RDWR));
  SHOW(tcgetpgrp(0));
  return 0;
}
static volatile int hung_up;
static void hang_up(int number) { hung_up = number; }
static int terminal(void) {
  SHOW(setsid() == getpid());
  int m = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK), n = 9;
  SHOW(grantpt(m) ?: unlockpt(m));
  SHOW(ioctl(m, TIOCGSID, &n));
  SHOW(ioctl(m, TIOCGPGRP, &n) ?: n);
  int s = open(ptsname(m), O_RDWR);
  SHOW(tcsetpgrp(s, 99999));
  SHOW(tcsetpgrp(s, 1));
  SHOW(tcsetpgrp(s, 0));
  SHOW(tcsetpgrp(s, -1));
  SHOW(tcsetpgrp(s, getpid()));
  SHOW(ioctl(m, TIOCGPGRP, &n) ?: n == getpid());
  SHOW(ioctl(m, TIOCGSID, &n) ?: n == getpid());
  int t = open("/dev/tty", O_RDWR);
  char c;
  close(s);
  SHOW(read(m, &c, 1));
  close(t);
  SHOW(read(m, &c, 1));
  WORKS(open("/dev/tty", O_RDWR));
  // Who leads hears of it, also in the background.
  signal(SIGHUP, hang_up);
  fflush(stdout);
  pid_t id = fork();
  if (!id) {
    setpgid(0, 0);
    signal(SIGTTOU, SIG_IGN);
    t = open("/dev/tty", O_RDWR);
    _exit(tcsetpgrp(t, getpid()) ? errno : 0);
  }
  int status;
  waitpid(id, &status, 0);
  SHOW(WEXITSTATUS(status));
  close(m);
  SHOW(hung_up);
  return 0;
}
static pid_t other;
static int lesser(void) {
  setuid(1000);
  SHOW(setpriority(PRIO_PROCESS, other, 10));
  SHOW(setpriority(PRIO_PROCESS, getpid(), 10));
  SHOW(setpriority(PRIO_PROCESS, getpid(), 5));
  struct rlimit l;
  SHOW(syscall(SYS_prlimit64, other, RLIMIT_NOFILE, 0, &l));
  SHOW(syscall(SYS_prlimit64, getpid(), RLIMIT_NOFILE, 0, &l));
  return 0;
}
static int priorities(void) {
  other = fork();
  if (!other)
    for (;;)
      pause();
  struct {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t times[3];
  } a = {sizeof a, .nice = 7};
  SHOW(syscall(SYS_sched_setattr, other, &a, 0));
  SHOW(getpriority(PRIO_PROCESS, other));
  SHOW(getpriority(PRIO_PROCESS, 0));
  SHOW(in_child(lesser));
  kill(other, SIGKILL);
  waitpid(other, 0, 0);
  return 0;
}
static int limits(void) {
  struct rlimit l;
  for (int i = 0; i < 16; i++)
    SHOW(getrlimit(i, &l));
  SHOW(getrlimit(16, &l));
  SHOW(getrlimit(-1, &l));
  SHOW(syscall(SYS_getrlimit, 0, 8));
  SHOW(setrlimit(RLIMIT_NOFILE, &(struct rlimit){20, 10}));
  SHOW(setrlimit(RLIMIT_NOFILE, &(struct rlimit){20, RLIM_INFINITY}));
  SHOW(syscall(SYS_prlimit64, 99999, 0, 0, &l));
  SHOW(syscall(SYS_prlimit64, 0, 99, 0, &l));
  SHOW(setrlimit(RLIMIT_NOFILE, &(struct rlimit){10, 20}));
  int last = 0, n;
  while ((n = dup(1)) >= 0)
    last = n;
  SHOW(last);
  SHOW(errno);
  SHOW(dup2(1, 15));
  SHOW(fcntl(1, F_DUPFD, 10));
  SHOW(fcntl(1, F_DUPFD, 5));
  SHOW(pipe((int[2]){}));
  SHOW(socket(AF_UNIX, SOCK_STREAM, 0));
  SHOW(open("/dev/null", O_RDONLY));
  close(9), close(8), close(7);
  SHOW(setrlimit(RLIMIT_FSIZE, &(struct rlimit){100, 100}));
  int f = open("/tmp/ids", O_CREAT | O_RDWR | O_TRUNC, 0600);
  char b[200] = {0};
  SHOW(write(f, b, 200));
  signal(SIGXFSZ, SIG_IGN);
  SHOW(write(f, b, 200));
  SHOW(ftruncate(f, 101));
  SHOW(ftruncate(f, 50));
  // Copies heed it, too.
  int from = open("/proc/self/exe", O_RDONLY), p[2];
  off_t at = 0;
  SHOW(lseek(f, 90, SEEK_SET));
  SHOW(sendfile(f, from, &at, 30));
  SHOW(at);
  SHOW(sendfile(f, from, &at, 30));
  SHOW(lseek(f, 0, SEEK_CUR));
  pipe(p);
  SHOW(write(p[1], b, 20));
  loff_t end = 95;
  SHOW(splice(p[0], 0, f, &end, 20, 0));
  SHOW(splice(p[0], 0, f, &end, 20, 0));
  at = 0, end = 98;
  SHOW(copy_file_range(from, &at, f, &end, 10, 0));
  signal(SIGXFSZ, SIG_DFL);
  lseek(f, 100, SEEK_SET);
  write(f, b, 1);
  return 0;
}
static int controls(void) {
  char name[20];
  SHOW(prctl(PR_SET_NAME, "a name that is too long"));
  SHOW(prctl(PR_GET_NAME, name));
  puts(name);
  SHOW(prctl(PR_SET_NAME, 8));
  SHOW(prctl(PR_GET_DUMPABLE));
  SHOW(prctl(PR_SET_DUMPABLE, 2));
  SHOW(prctl(PR_SET_DUMPABLE, 0) ?: prctl(PR_GET_DUMPABLE));
  SHOW(prctl(PR_SET_PDEATHSIG, 99));
  SHOW(prctl(PR_SET_PDEATHSIG, SIGTERM));
  int value;
  SHOW(prctl(PR_GET_PDEATHSIG, &value) ?: value);
  SHOW(prctl(PR_GET_PDEATHSIG, 8));
  SHOW(prctl(PR_GET_KEEPCAPS));
  SHOW(prctl(PR_SET_KEEPCAPS, 2));
  SHOW(prctl(PR_SET_KEEPCAPS, 1) ?: prctl(PR_GET_KEEPCAPS));
  SHOW(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
  SHOW(prctl(PR_GET_NO_NEW_PRIVS, 1, 0, 0, 0));
  SHOW(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0));
  SHOW(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  SHOW(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
  SHOW(prctl(PR_SET_CHILD_SUBREAPER, 1));
  SHOW(prctl(PR_GET_CHILD_SUBREAPER, &value) ?: value);
  SHOW(prctl(PR_GET_TIMERSLACK) > 0);
  SHOW(prctl(PR_GET_TIMING));
  SHOW(prctl(PR_SET_TIMING, 1));
  SHOW(prctl(PR_CAPBSET_READ, 0));
  SHOW(prctl(PR_CAPBSET_READ, 99));
  SHOW(prctl(PR_GET_SECCOMP));
  SHOW(prctl(PR_GET_SECUREBITS));
  SHOW(prctl(12345));
  struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct d[2];
  SHOW(syscall(SYS_capget, &h, d) ?: d[0].effective == ~0U);
  h.version = 5;
  SHOW(syscall(SYS_capget, &h, d));
  SHOW(h.version == _LINUX_CAPABILITY_VERSION_3);
  h.pid = 99999;
  SHOW(syscall(SYS_capget, &h, d));
  SHOW(syscall(SYS_capget, 8, d));
  return 0;
}
static int scheduling(void) {
  struct sched_param p = {0};
  struct timespec t;
  unsigned long mask[16] = {0};
  SHOW(sched_getscheduler(0));
  SHOW(sched_getscheduler(-1));
  SHOW(sched_getscheduler(99999));
  SHOW(sched_getparam(0, &p) ?: p.sched_priority);
  SHOW(sched_getparam(0, 0));
  SHOW(sched_get_priority_max(SCHED_FIFO));
  SHOW(sched_get_priority_min(SCHED_FIFO));
  SHOW(sched_get_priority_max(SCHED_OTHER));
  SHOW(sched_get_priority_max(99));
  SHOW(sched_setscheduler(0, SCHED_OTHER, &p));
  SHOW(sched_setscheduler(0, 99, &p));
  p.sched_priority = 5;
  SHOW(sched_setscheduler(0, SCHED_OTHER, &p));
  SHOW(sched_setscheduler(99999, SCHED_OTHER, &p));
  p.sched_priority = 100;
  SHOW(sched_setscheduler(0, SCHED_FIFO, &p));
  SHOW(sched_rr_get_interval(-1, &t));
  SHOW(sched_rr_get_interval(99999, &t));
  SHOW(syscall(SYS_sched_getaffinity, 0, 128, mask));
  SHOW(mask[0] & 1);
  SHOW(syscall(SYS_sched_getaffinity, 0, 7, mask));
  SHOW(syscall(SYS_sched_getaffinity, 0, 0, mask));
  SHOW(syscall(SYS_sched_getaffinity, 99999, 128, mask));
  SHOW(syscall(SYS_sched_getaffinity, 0, 128, 8));
  mask[0] = 0;
  SHOW(syscall(SYS_sched_setaffinity, 0, 8, mask));
  mask[0] = 1;
  SHOW(syscall(SYS_sched_setaffinity, 0, 8, mask));
  SHOW(syscall(SYS_sched_setaffinity, 99999, 8, mask));
  SHOW(syscall(SYS_sched_setaffinity, 0, 8, 8));
  SHOW(sched_yield());
  SHOW(getpriority(9, 0));
  SHOW(getpriority(PRIO_PROCESS, 99999));
  SHOW(setpriority(PRIO_PROCESS, 99999, 0));
  SHOW(setpriority(PRIO_PROCESS, 0, 100) ?: getpriority(PRIO_PROCESS, 0));
  SHOW(setpriority(PRIO_PROCESS, 0, -100) ?: getpriority(PRIO_PROCESS, 0));
  unsigned cpu = 9, node = 9;
  SHOW(syscall(SYS_getcpu, &cpu, &node, 0) ?: cpu + node);
  SHOW(syscall(SYS_getcpu, 8, 0, 0));
  return 0;
}
static int machine(void) {
  struct utsname u;
  struct sysinfo i;
  char b[300];
  SHOW(uname(&u));
  puts(u.sysname), puts(u.machine);
  SHOW(syscall(SYS_uname, 8));
  SHOW(sysinfo(&i) ?: i.mem_unit);
  SHOW(syscall(SYS_sysinfo, 8));
  SHOW(syscall(SYS_sethostname, "x", 65));
  SHOW(syscall(SYS_sethostname, "x", -1));
  SHOW(syscall(SYS_sethostname, 8, 1));
  SHOW(syscall(SYS_getrandom, b, 256, 0));
  SHOW(syscall(SYS_getrandom, b, 10, 99));
  SHOW(syscall(SYS_getrandom, b, 10, 6));
  SHOW(syscall(SYS_getrandom, 8, 10, 0));
  SHOW(syscall(SYS_getrandom, b, 0, 0));
  SHOW(syscall(SYS_membarrier, 0, 0, 0) > 0);
  SHOW(syscall(SYS_membarrier, 1 << 30, 0, 0));
  SHOW(syscall(SYS_membarrier, 0, 9, 0));
  SHOW(syscall(SYS_arch_prctl, 0x9999, 0));
  SHOW(syscall(SYS_arch_prctl, 0x1003, 8));
  SHOW(syscall(SYS_arch_prctl, 0x1002, 1UL << 63));
  SHOW(syscall(SYS_set_tid_address, 0) == getpid());
  SHOW(syscall(SYS_set_robust_list, 0, 5));
  SHOW(syscall(SYS_get_robust_list, 99999, b, b + 8));
  SHOW(syscall(9999));
  SHOW(syscall(-1));
  return 0;
}
int main(void) {
  SHOW(in_child(users));
  SHOW(in_child(groups));
  SHOW(in_child(session));
  SHOW(in_child(terminal));
  SHOW(in_child(priorities));
  SHOW(in_child(limits));
  SHOW(in_child(controls));
  SHOW(in_child(scheduling));
  SHOW(in_child(machine));
}
