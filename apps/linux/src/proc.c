// proc(5): the shapes of what programs read, with numbers masked where they differ
#include "show.h"
#include <dirent.h>
#include <stddef.h>
static char text[200000];
static int length;
static int get(const char *path) {
  int f = open(path, O_RDONLY), n;
  length = 0;
  if (f < 0)
    return -errno;
  while ((n = read(f, text + length, sizeof text - 1 - length)) > 0)
    length += n;
  close(f);
  text[length] = 0;
  return n < 0 ? -errno : length;
}
// Each number becomes N, and each run of spaces one.
static char *shape(char *line) {
  static char to[4000];
  char *out = to;
  for (char *c = line; *c && out < to + sizeof to - 2; c++)
    if (*c >= '0' && *c <= '9') {
      while (c[1] >= '0' && c[1] <= '9')
        c++;
      *out++ = 'N';
    } else if (*c != ' ' || out == to || out[-1] != ' ')
      *out++ = *c;
  *out = 0;
  return to;
}
static void file(const char *path, int most) {
  int r = get(path);
  printf("%s: %s\n", path, r < 0 ? strerrorname_np(-r) : "");
  char *at = text, *line;
  while (r > 0 && most-- && (line = strsep(&at, "\n")) && (*line || at))
    printf("  %s\n", shape(line));
}
// The value of a line "key: value", in a file that was read.
static char *value(const char *key) {
  static char to[200];
  char *at = text;
  while (at && strncmp(at, key, strlen(key)))
    at = (at = strchr(at, '\n')) ? at + 1 : 0;
  if (!at)
    return "none";
  snprintf(to, sizeof to, "%.*s", (int)strcspn(at + strlen(key), "\n"), at + strlen(key));
  return to;
}
static void keys(const char *path, const char *const *of) {
  SHOW(get(path) > 0);
  for (; *of; of++)
    printf("  %s%s\n", *of, shape(value(*of)));
}
static void link_of(const char *path) {
  char to[300] = {0};
  errno = 0;
  int n = readlink(path, to, 299);
  printf("%s -> %s\n", path, n < 0 ? strerrorname_np(errno) : to);
}
static void node(const char *path) {
  struct stat s;
  errno = 0;
  if (lstat(path, &s))
    printf("%s: %s\n", path, strerrorname_np(errno));
  else
    printf("%s: mode %o links %s size %ld uid %d blocks %ld\n", path, s.st_mode, s.st_nlink > 1 ? "many" : "one", S_ISREG(s.st_mode) ? (long)s.st_size : 0, s.st_uid, S_ISREG(s.st_mode) ? (long)s.st_blocks : 0);
}
static volatile int begun, stop;
static void *sleeps(void *a) {
  pthread_setname_np(pthread_self(), "a (b) c");
  begun = 1;
  while (!stop)
    usleep(1000);
  return a;
}
// The fields of stat, from the state on.
static char fields[60][30];
static int stat_of(const char *path) {
  if (get(path) <= 0)
    return -1;
  char *at = strrchr(text, ')') + 2;
  return sscanf(at, "%29s%29s%29s%29s%29s%29s%29s%29s%29s%29s%29s%29s%29s%29s%29s%29s%29s%29s%29s%29s%29s%29s%29s%29s%29s%29s%29s%29s%29s%29s%29s%29s%29s%29s%29s%29s%29s%29s%29s%29s%29s%29s%29s%29s%29s%29s%29s%29s%29s%29s", fields[3], fields[4], fields[5], fields[6], fields[7], fields[8], fields[9], fields[10], fields[11], fields[12], fields[13], fields[14], fields[15], fields[16], fields[17], fields[18], fields[19], fields[20], fields[21], fields[22], fields[23], fields[24], fields[25], fields[26], fields[27], fields[28], fields[29], fields[30], fields[31], fields[32], fields[33], fields[34], fields[35], fields[36], fields[37], fields[38], fields[39], fields[40], fields[41], fields[42], fields[43], fields[44], fields[45], fields[46], fields[47], fields[48], fields[49], fields[50], fields[51], fields[52]);
}
#define F(n) strtoul(fields[n], 0, 10)
int main(int count, char **args, char **env) {
  (void)env;
  char *second = count > 1 ? args[1] : 0;
  if (!second) {
    // None of both has a terminal.
    pid_t child = fork();
    if (child) {
      waitpid(child, 0, 0);
      return 0;
    }
    setsid();
    char *arguments[] = {"proc", "one", "", "two words", 0}, *environment[] = {"A=1", "B=", "C", 0};
    execve("/proc/self/exe", arguments, environment);
    return 1;
  }
  // stat.
  setpriority(PRIO_PROCESS, 0, 4);
  SHOW(stat_of("/proc/self/stat"));
  IS(strtol(text, 0, 10) == getpid());
  IS(strstr(text, " (exe) R "));
  IS((int)F(4) == getppid() && (int)F(5) == getpgrp() && (int)F(6) == getsid(0));
  printf("state %s tty %s tpgid %s prio %s nice %s threads %s itreal %s\n", fields[3], fields[7], fields[8], fields[18], fields[19], fields[20], fields[21]);
  IS(F(22) > 0 && F(23) > 100000 && F(23) % 4096 == 0);
  printf("rsslim %s signal %s blocked %s\n", fields[25], fields[31], fields[32]);
  IS(F(26) < (unsigned long)main && (unsigned long)main < F(27));
  IS(F(28) > (unsigned long)&second);
  IS(F(47) > 0);
  IS(F(48) == (unsigned long)args[0] && F(49) > F(48) && F(50) == F(49) && F(51) > F(50));
  printf("exit signal %s code %s rt %s policy %s\n", fields[38], fields[52], fields[40], fields[41]);
  setpriority(PRIO_PROCESS, 0, 0);
  SHOW(get("/proc/self/statm") > 0);
  printf("%s", shape(text));
  long pages[7];
  IS(sscanf(text, "%ld%ld%ld%ld%ld%ld%ld", pages, pages + 1, pages + 2, pages + 3, pages + 4, pages + 5, pages + 6) == 7);
  IS(pages[0] > pages[1] && pages[1] >= pages[2] && pages[3] > 0 && pages[4] == 0 && pages[5] > 0 && pages[6] == 0);
  // status.
  static const char *const status[] = {"Name:", "Umask:", "State:", "Tgid:", "Ngid:", "Pid:", "PPid:", "TracerPid:", "Uid:", "Gid:", "FDSize:", "Groups:", "NStgid:", "NSpid:", "NSpgid:", "NSsid:", "VmPeak:", "VmSize:", "VmLck:", "VmPin:", "VmHWM:", "VmRSS:", "RssAnon:", "RssFile:", "RssShmem:", "VmData:", "VmStk:", "VmExe:", "VmLib:", "VmPTE:", "VmSwap:", "HugetlbPages:", "CoreDumping:", "THP_enabled:", "Threads:", "SigQ:", "NoNewPrivs:", "Seccomp:", "Seccomp_filters:", "Cpus_allowed:", "Cpus_allowed_list:", "Mems_allowed_list:", "voluntary_ctxt_switches:", "nonvoluntary_ctxt_switches:", 0};
  umask(027);
  keys("/proc/self/status", status);
  printf("%s", value("Umask:"));
  printf("%s\n", value("Threads:"));
  signal(SIGUSR1, SIG_IGN), signal(SIGUSR2, exit), signal(SIGALRM, SIG_DFL);
  sigset_t set;
  sigemptyset(&set), sigaddset(&set, SIGTERM), sigaddset(&set, SIGRTMIN), sigprocmask(SIG_BLOCK, &set, 0);
  raise(SIGTERM);
  get("/proc/self/status");
  static const char *const signals[] = {"SigPnd:", "ShdPnd:", "SigBlk:", "SigIgn:", "SigCgt:", "CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:", 0};
  for (int i = 0; i < 5; i++)
    printf("%s%s\n", signals[i], value(signals[i]));
  printf("%s\n", value("CapEff:"));
  signal(SIGTERM, SIG_IGN);
  // What it began with.
  for (const char *const *p = (const char *const[]){"/proc/self/cmdline", "/proc/self/environ", "/proc/self/comm", 0}; *p; p++) {
    printf("%s: %d ", *p, get(*p));
    for (int i = 0; i < length; i++)
      putchar(text[i] ? text[i] : '|');
    puts("");
  }
  int f = open("/proc/self/comm", O_RDWR);
  SHOW(write(f, "a name that is too long", 23));
  SHOW(get("/proc/self/comm"));
  printf("%s", text);
  SHOW(write(f, "", 0));
  close(f);
  strcpy(args[1], "ONE");
  get("/proc/self/cmdline");
  printf("%s\n", text + 5);
  // Links.
  chdir("/tmp"), link_of("/proc/self/cwd"), link_of("/proc/self/root"), link_of("/proc/thread-self/cwd");
  mkdir("/tmp/proc.d", 0700), chdir("/tmp/proc.d"), rmdir("/tmp/proc.d"), link_of("/proc/self/cwd");
  chdir("/tmp");
  IS(readlink("/proc/self", text, 100) > 0 && atoi(text) == getpid());
  IS(readlink("/proc/thread-self", text, 100) > 0 && strstr(text, "/task/"));
  SHOW(readlink("/proc/self/exe", text, 200) > 0);
  f = open("/tmp/proc.f", O_CREAT | O_RDWR | O_APPEND | O_CLOEXEC, 0600);
  dup2(f, 50), fcntl(50, F_SETFD, FD_CLOEXEC);
  write(f, "12345", 5);
  int p[2], s[2], e = eventfd(7, EFD_NONBLOCK), t = timerfd_create(CLOCK_MONOTONIC, 0), poll = epoll_create1(0), m = memfd_create("named", 0);
  pipe(p), socketpair(AF_UNIX, SOCK_STREAM, 0, s);
  sigset_t one;
  sigemptyset(&one), sigaddset(&one, SIGHUP);
  int sig = signalfd(-1, &one, 0), path = open("/tmp", O_PATH | O_DIRECTORY), n;
  epoll_ctl(poll, EPOLL_CTL_ADD, p[0], &(struct epoll_event){EPOLLIN, {.u64 = 77}});
  int fds[] = {50, p[0], s[0], e, t, poll, m, sig, path};
  for (unsigned i = 0; i < sizeof fds / sizeof *fds; i++) {
    char name[100], to[200] = {0};
    sprintf(name, "/proc/self/fd/%d", fds[i]);
    n = readlink(name, to, 199);
    struct stat st;
    lstat(name, &st);
    printf("fd %s mode %o\n", n < 0 ? strerrorname_np(errno) : shape(to), st.st_mode);
    sprintf(name, "/proc/self/fdinfo/%d", fds[i]);
    n = get(name);
    char *at = text, *line;
    while ((line = strsep(&at, "\n")) && at)
      if (!strncmp(line, "tfd", 3))
        printf("  %.*s\n", (int)strcspn(shape(line), "p"), shape(line)), IS(strstr(line, " ino:") && strstr(line, " sdev:"));
      else if (strncmp(line, "mnt_id", 6) && strncmp(line, "ino", 3))
        printf("  %s\n", strncmp(line, "flags", 5) ? shape(line) : line);
  }
  unlink("/tmp/proc.f"), link_of("/proc/self/fd/50");
  SHOW(open("/proc/self/fd/50", O_RDONLY) >= 0);
  SHOW(open("/proc/self/fd/999", O_RDONLY));
  SHOW(open("/proc/self/fd/07", O_RDONLY));
  SHOW(open("/proc/self/fd/x", O_RDONLY));
  SHOW(open("/proc/self/fdinfo/999", O_RDONLY));
  SHOW(unlink("/proc/self/fd/50"));
  SHOW(mkdir("/proc/x", 0700));
  SHOW(open("/proc/x", O_CREAT | O_RDWR, 0600));
  SHOW(rename("/proc/self/comm", "/proc/self/x"));
  SHOW(symlink("x", "/proc/self/y"));
  SHOW(chmod("/proc/self/comm", 0));
  SHOW(truncate("/proc/self/comm", 0));
  SHOW(open("/proc/999999", O_RDONLY));
  SHOW(open("/proc/0", O_RDONLY));
  SHOW(open("/proc/01", O_RDONLY));
  SHOW(open("/proc/self/task/999999/stat", O_RDONLY));
  // Maps.
  char *map = mmap(0, 3 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, m, 0), *own = mmap(0, 5 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *both = mmap(0, 4096, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ftruncate(m, 3 * 4096);
  get("/proc/self/maps");
  // Where it is among the others is nobody's matter.
  char *at = text, *line, stack[300] = "none";
  while ((line = strsep(&at, "\n")) && at) {
    char bits[5], dev[20], name[200] = {0};
    unsigned long from, to, offset, inode;
    int got = sscanf(line, "%lx-%lx %4s %lx %19s %lu %199[^\n]", &from, &to, bits, &offset, dev, &inode, name);
    int column = (int)strcspn(line, "/[");
    if (from == (unsigned long)map || from == (unsigned long)both)
      printf("%d %ld pages %s at %lx inode %s \"%s\" at %d\n", got, (to - from) / 4096, bits, offset, inode ? "yes" : "no", name, column);
    else if (from <= (unsigned long)own && (unsigned long)own < to)
      printf("%d %s at %lx dev %s inode %lu \"%s\"\n", got, bits, offset, dev, inode, name);
    else if (!strcmp(name, "[stack]"))
      snprintf(stack, sizeof stack, "%s %s %s at %lx column %d", name, bits, dev, offset, column);
    else if (*name == '[')
      printf("%s %s %s at %lx column %d\n", name, bits, dev, name[1] == 'v' ? 0 : offset, column);
    else if (from <= (unsigned long)main && (unsigned long)main < to)
      printf("code %s at %lx column %d\n", bits, offset, column);
  }
  puts(stack);
  SHOW(get("/proc/self/smaps") > 0);
  for (at = text; (line = strsep(&at, "\n")) && strncmp(line, "VmFlags", 7);)
    printf("  %s\n", strchr(line, '-') ? "a range" : shape(line));
  SHOW(get("/proc/self/smaps_rollup") > 0);
  // Threads.
  pthread_t other;
  pthread_create(&other, 0, sleeps, 0);
  while (!begun)
    usleep(1000);
  DIR *d = opendir("/proc/self/task");
  int threads = 0, second_id = 0;
  for (struct dirent *e; (e = readdir(d));)
    if (e->d_name[0] != '.') {
      threads++;
      if (atoi(e->d_name) != getpid())
        second_id = atoi(e->d_name);
    }
  SHOW(threads);
  char name[100];
  sprintf(name, "/proc/self/task/%d/stat", second_id);
  SHOW(stat_of(name));
  IS(strstr(text, " (a (b) c) "));
  IS(!strcmp(fields[20], "2"));
  sprintf(name, "/proc/self/task/%d/comm", second_id), get(name);
  printf("%s", text);
  sprintf(name, "/proc/%d/comm", second_id), get(name);
  printf("%s", text);
  sprintf(name, "/proc/self/task/%d/status", second_id);
  get(name);
  IS(atoi(value("Pid:")) == second_id && atoi(value("Tgid:")) == getpid());
  struct stat st;
  SHOW(stat("/proc/self/task", &st) ?: st.st_nlink);
  stop = 1, pthread_join(other, 0);
  // It is joined before it is gone.
  UNTIL(access(name, F_OK));
  SHOW(open(name, O_RDONLY));
  // What a process that ended still has.
  fflush(stdout);
  pid_t id = fork();
  if (!id)
    _exit(3);
  siginfo_t info;
  waitid(P_PID, id, &info, WEXITED | WNOWAIT);
  sprintf(name, "/proc/%d/stat", id); SHOW(stat_of(name));
  printf("state %s vsize %s rss %s threads %s code %s\n", fields[3], fields[23], fields[24], fields[20], fields[52]);
  sprintf(name, "/proc/%d/cmdline", id); SHOW(get(name));
  sprintf(name, "/proc/%d/maps", id); SHOW(get(name));
  sprintf(name, "/proc/%d/exe", id); SHOW(readlink(name, text, 99));
  sprintf(name, "/proc/%d/cwd", id); SHOW(readlink(name, text, 99));
  sprintf(name, "/proc/%d/fd", id); SHOW((d = opendir(name)) ? 0 : -1);
  sprintf(name, "/proc/%d/environ", id); SHOW(get(name));
  sprintf(name, "/proc/%d/statm", id); SHOW(get(name)); printf("%s", text);
  sprintf(name, "/proc/%d/status", id); SHOW(get(name) > 0); printf("%s|", value("State:"));
  printf("%s|", value("VmSize:"));
  printf("%s\n", value("Threads:"));
  sprintf(name, "/proc/%d/limits", id); SHOW(get(name) > 0);
  sprintf(name, "/proc/%d", id);
  int dead = open(name, O_RDONLY);
  wait(0);
  SHOW(openat(dead, "stat", O_RDONLY) < 0);
  SHOW(open(name, O_RDONLY));
  setrlimit(RLIMIT_NOFILE, &(struct rlimit){100, 200}), setrlimit(RLIMIT_CORE, &(struct rlimit){0, RLIM_INFINITY});
  get("/proc/self/limits");
  for (at = text; (line = strsep(&at, "\n")) && at;)
    printf("%s\n", strstr(line, "processes") || strstr(line, "pending") || strstr(line, "locked") || strstr(line, "queue") ? shape(line) : line);
  // The machine.
  static const char *const meminfo[] = {"MemTotal:", "MemFree:", "MemAvailable:", "Buffers:", "Cached:", "SwapCached:", "Active:", "Inactive:", "Active(anon):", "Inactive(anon):", "Active(file):", "Inactive(file):", "Unevictable:", "Mlocked:", "SwapTotal:", "SwapFree:", "Dirty:", "Writeback:", "AnonPages:", "Mapped:", "Shmem:", "KReclaimable:", "Slab:", "SReclaimable:", "SUnreclaim:", "KernelStack:", "PageTables:", "NFS_Unstable:", "Bounce:", "WritebackTmp:", "CommitLimit:", "Committed_AS:", "VmallocTotal:", "VmallocUsed:", "VmallocChunk:", 0};
  keys("/proc/meminfo", meminfo);
  file("/proc/uptime", 9), file("/proc/loadavg", 9), file("/proc/swaps", 1);
  static const char *const stat[] = {"cpu ", "cpu0 ", "ctxt ", "btime ", "processes ", "procs_running ", "procs_blocked ", "softirq ", 0};
  keys("/proc/stat", stat);
  static const char *const vmstat[] = {"nr_free_pages ", "pgpgin ", "pgpgout ", "pswpin ", "pswpout ", "pgfault ", "pgmajfault ", 0};
  keys("/proc/vmstat", vmstat);
  get("/proc/mounts");
  IS(strstr(text, " /proc proc rw") && strstr(text, " / "));
  for (at = text; (line = strsep(&at, "\n")) && at;) {
    char a[9][100];
    n = sscanf(line, "%99s%99s%99s%99s%99s%99s%99s", a[0], a[1], a[2], a[3], a[4], a[5], a[6]);
    if (n != 6 || strcmp(a[4], "0") || strcmp(a[5], "0") || a[1][0] != '/')
      puts(line);
  }
  get("/proc/self/mountinfo");
  for (at = text; (line = strsep(&at, "\n")) && at;) {
    int a, b, c, d;
    char root[100], point[100], options[300];
    if (sscanf(line, "%d %d %d:%d %99s %99s %299s", &a, &b, &c, &d, root, point, options) != 7 || !strstr(line, " - "))
      puts(line);
  }
  get("/proc/filesystems");
  IS(strstr(text, "nodev\tproc\n") && strstr(text, "nodev\ttmpfs\n"));
  static const char *const settings[] = {"kernel/ostype", "kernel/pid_max", "kernel/ngroups_max", "kernel/cap_last_cap", "kernel/overflowuid", "kernel/overflowgid", "kernel/randomize_va_space", "kernel/threads-max", "kernel/random/boot_id", "kernel/random/uuid", "kernel/random/entropy_avail", "kernel/random/poolsize", "kernel/hostname", "kernel/domainname", "kernel/osrelease", "kernel/version", "kernel/core_pattern", "kernel/core_uses_pid", "kernel/printk", "kernel/shmmni", "kernel/tainted", "kernel/panic", "kernel/pty/max", "kernel/ctrl-alt-del", "fs/file-max", "fs/file-nr", "fs/nr_open", "fs/pipe-max-size", "fs/pipe-user-pages-soft", "fs/aio-nr", "fs/aio-max-nr", "fs/epoll/max_user_watches", "fs/inotify/max_user_watches", "vm/overcommit_memory", "vm/overcommit_ratio", "vm/swappiness", "vm/max_map_count", "vm/mmap_min_addr", "vm/min_free_kbytes", "net/core/somaxconn", "net/core/rmem_max", "net/core/wmem_max", "net/core/rmem_default", "net/core/netdev_max_backlog", "net/core/optmem_max", "net/ipv4/tcp_rmem", "net/ipv4/tcp_wmem", "net/ipv4/tcp_keepalive_time", "net/ipv4/tcp_keepalive_intvl", "net/ipv4/tcp_keepalive_probes", "net/ipv4/tcp_syn_retries", "net/ipv4/tcp_fastopen", "net/ipv4/tcp_max_syn_backlog", "net/ipv4/ip_local_port_range", "net/ipv4/ip_default_ttl", "net/ipv4/ip_nonlocal_bind", "net/ipv4/ping_group_range", "net/ipv4/conf/all/forwarding", "net/ipv6/bindv6only", "net/ipv6/conf/all/forwarding", "net/unix/max_dgram_qlen", 0};
  for (const char *const *it = settings; *it; it++) {
    sprintf(name, "/proc/sys/%s", *it);
    int r = get(name);
    text[strcspn(text, "\n")] = 0;
    struct stat st;
    printf("%s: %s mode %o size %ld\n", *it, r < 0 ? strerrorname_np(-r) : strstr(name, "id") || strstr(name, "osrel") || strstr(name, "version") || strstr(name, "name") ? *text ? "something" : "nothing" : shape(text), lstat(name, &st) ? 0 : st.st_mode & ~0222, (long)st.st_size);
  }
  SHOW(open("/proc/sys/kernel/ostype", O_WRONLY));
  SHOW(open("/proc/sys/none", O_RDONLY));
  for (const char *const *it = (const char *const[]){"", "/self", "/self/", "/self/stat", "/self/status", "/self/maps", "/self/environ", "/self/cmdline", "/self/fd", "/self/fdinfo", "/self/task", "/self/exe", "/self/limits", "/self/io", "/self/mounts", "/self/mountinfo", "/self/auxv", "/self/cgroup", "/self/oom_score", "/self/oom_score_adj", "/self/sessionid", "/self/wchan", "/self/schedstat", "/self/personality", "/self/coredump_filter", "/cpuinfo", "/meminfo", "/uptime", "/version", "/devices", "/partitions", "/diskstats", "/tty", 0}; *it; it++)
    sprintf(name, "/proc%s", *it), node(name);
  SHOW(get("/proc/self/auxv") % 16);
  SHOW(get("/proc/self/oom_score_adj")); printf("%s", text);
  SHOW(get("/proc/self/oom_score") > 0);
  SHOW(get("/proc/self/coredump_filter")); printf("%s", text);
  SHOW(get("/proc/self/personality")); printf("%s", text);
  SHOW(get("/proc/self/wchan")); printf("%s\n", shape(text));
  file("/proc/self/io", 9), file("/proc/self/schedstat", 2), file("/proc/self/cgroup", 0), file("/proc/self/uid_map", 3), file("/proc/self/setgroups", 2), file("/proc/self/loginuid", 2);
}
