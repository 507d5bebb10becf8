// tty_ioctl(4), pty(7), termios(3), credentials(7): terminals, sessions and job control
#include "show.h"
#include <termios.h>
static volatile int heard[65];
static void hear(int s) { heard[s]++; }
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
static void show(const char *what, const char *b, int n) {
  printf("%s: %d %s \"", what, n, n < 0 ? strerrorname_np(errno) : "-");
  for (int i = 0; i < n; i++)
    printf(b[i] < ' ' || b[i] > '~' ? "\\x%02x" : "%c", (unsigned char)b[i]);
  puts("\"");
}
#define SAY(fd, text) say(fd, text, sizeof text - 1)
#define READ(fd) show("read " #fd, b, read(fd, b, sizeof b))
static int m, s;
// Linux passes on what is written in another thread, for which poll(2) waits where nothing is there yet.
static void passed(void) {
  struct pollfd p[] = {{s, POLLIN, 0}, {m, POLLIN, 0}};
  for (int i = 0; i < 3; i++)
    poll(p, 2, 0), usleep(5000);
}
static void say(int fd, const char *text, int length) {
  write(fd, text, length);
  passed();
}
static char b[5000];
static void make(void) {
  m = posix_openpt(O_RDWR | O_NOCTTY), unlockpt(m);
  s = open(ptsname(m), O_RDWR | O_NOCTTY);
  fcntl(m, F_SETFL, O_NONBLOCK);
  fcntl(s, F_SETFL, O_NONBLOCK);
}
static int lines(void) {
  int n;
  m = posix_openpt(O_RDWR | O_NOCTTY);
  char *name = ptsname(m);
  SHOW(open(name, O_RDWR | O_NOCTTY));
  SHOW(ioctl(m, TIOCGPTLCK, &n) ?: n);
  SHOW(unlockpt(m));
  s = open(name, O_RDWR | O_NOCTTY);
  IS(s >= 0);
  IS(!strcmp(ttyname(s), name));
  SHOW(isatty(m) * 10 + isatty(s));
  SHOW(ioctl(s, TIOCGPTN, &n));
  SHOW(ioctl(s, TIOCSPTLCK, &n));
  fcntl(m, F_SETFL, O_NONBLOCK);
  fcntl(s, F_SETFL, O_NONBLOCK);
  READ(s);
  SAY(m, "ab\x7f" "c\n");
  SHOW(ioctl(s, FIONREAD, &n) ?: n);
  READ(s);
  READ(m);
  SAY(m, "one\ntwo\nthr");
  SHOW(read(s, b, 2));
  READ(s);
  READ(s);
  READ(s);
  SAY(m, "ee\x04");
  READ(s);
  SAY(m, "\x04");
  READ(s);
  READ(s);
  holds(m, 15);
  READ(m);
  SAY(m, "some words\x17x\x15last\x12\n");
  READ(s);
  READ(m);
  SAY(m, "a\x16\x03z\n");
  READ(s);
  READ(m);
  SAY(s, "out\tput\n");
  READ(m);
  SHOW(ioctl(s, TIOCOUTQ, &n) ?: n);
  SAY(m, "lost\nlo");
  SHOW(tcflush(s, TCIFLUSH));
  READ(s);
  SHOW(tcflush(s, 9));
  SHOW(tcdrain(s));
  SHOW(tcsendbreak(s, 0));
  SHOW(tcflow(s, TCOOFF));
  SHOW(tcflow(s, TCOON));
  SHOW(tcflow(s, 9));
  READ(m);
  memset(b, 'x', 5000);
  SHOW(write(m, b, 5000) > 0);
  passed();
  SHOW(write(m, "\n", 1));
  passed();
  SHOW(read(s, b, 5000));
  return 0;
}
static int modes(void) {
  struct termios t, u;
  make();
  SHOW(tcgetattr(s, &t));
  for (int i = 0; i < 19; i++)
    printf("%d ", t.c_cc[i]);
  puts("");
  SHOW(cfgetospeed(&t) == B38400);
  u = t;
  u.c_lflag &= ~(ICANON | ECHO), u.c_cc[VMIN] = 3, u.c_cc[VTIME] = 0;
  SAY(m, "typed before");
  SHOW(tcsetattr(s, TCSANOW, &u));
  READ(s);
  SHOW(tcgetattr(m, &u) ?: (int)(u.c_lflag & ICANON));
  SAY(m, "ab");
  struct pollfd p = {s, POLLIN, 0};
  SHOW(poll(&p, 1, 0));
  fcntl(s, F_SETFL, 0);
  SAY(m, "cd");
  SHOW(poll(&p, 1, 0));
  READ(s);
  u.c_cc[VMIN] = 0, u.c_cc[VTIME] = 1;
  SHOW(tcsetattr(s, TCSANOW, &u));
  long begun = ms();
  READ(s);
  // Linux counts ticks, which may be behind the clock.
  IS(ms() - begun >= 50);
  SAY(m, "e");
  READ(s);
  u.c_cc[VMIN] = 0, u.c_cc[VTIME] = 0;
  SHOW(tcsetattr(s, TCSAFLUSH, &u));
  READ(s);
  u.c_cc[VMIN] = 9, u.c_cc[VTIME] = 1;
  SHOW(tcsetattr(s, TCSADRAIN, &u));
  SAY(m, "fg");
  READ(s);
  u.c_iflag = ICRNL | ISTRIP | INLCR, u.c_oflag = 0;
  tcsetattr(s, TCSANOW, &u);
  SAY(m, "\r\n\xe1");
  READ(s);
  SAY(s, "\n");
  holds(m, 13);
  READ(m);
  int n;
  struct pollfd line = {m, POLLIN, 0};
  // Sizes.
  struct winsize w = {1, 2, 3, 4}, x;
  SHOW(ioctl(s, TIOCGWINSZ, &x) ?: x.ws_row + x.ws_col);
  SHOW(ioctl(m, TIOCSWINSZ, &w));
  SHOW(ioctl(s, TIOCGWINSZ, &x) ?: x.ws_row * 1000 + x.ws_col * 100 + x.ws_xpixel * 10 + x.ws_ypixel);
  SHOW(ioctl(s, TIOCGWINSZ, 8));
  SHOW(ioctl(s, TCGETS, 8));
  SHOW(ioctl(s, TCSETS, 8));
  SHOW(ioctl(s, 0x5499, 0));
  SHOW(ioctl(s, TIOCEXCL));
  SHOW(ioctl(s, TIOCNXCL));
  SHOW(ioctl(s, TIOCGETD, &n) ?: n);
  SHOW(ioctl(s, TIOCMGET, &n));
  SHOW(lseek(s, 0, SEEK_SET));
  SHOW(pread(s, b, 1, 0));
  SHOW(ftruncate(s, 0));
  SHOW(fsync(s));
  // The ends.
  SAY(s, "rest");
  close(s);
  line.events = POLLIN | POLLOUT;
  SHOW(poll(&line, 1, 0) * 1000 + line.revents);
  READ(m);
  READ(m);
  SHOW(write(m, "x", 1));
  s = open(ptsname(m), O_RDWR | O_NOCTTY);
  SHOW(poll(&line, 1, 0) * 1000 + line.revents);
  close(m);
  p = (struct pollfd){s, POLLIN | POLLOUT, 0};
  SHOW(poll(&p, 1, 0) * 1000 + p.revents);
  READ(s);
  SHOW(write(s, "x", 1));
  SHOW(tcgetattr(s, &u));
  SHOW(ioctl(s, TIOCGWINSZ, &x));
  SHOW(ioctl(s, FIONREAD, &n));
  return 0;
}
static pid_t leader;
static int background(void) {
  setpgid(0, 0);
  signal(SIGTTOU, hear), signal(SIGTTIN, hear);
  struct termios t;
  fcntl(s, F_SETFL, 0);
  struct sigaction a = {.sa_handler = hear};
  sigaction(SIGTTOU, &a, 0), sigaction(SIGTTIN, &a, 0);
  SHOW(read(s, b, 1));
  SHOW(heard[SIGTTIN]);
  SHOW(tcgetattr(s, &t));
  SHOW(tcsetattr(s, TCSANOW, &t));
  SHOW(heard[SIGTTOU]);
  SHOW(tcsetpgrp(s, getpid()));
  SHOW(tcflush(s, TCIFLUSH));
  SHOW(write(s, "w", 1));
  t.c_lflag |= TOSTOP;
  signal(SIGTTOU, SIG_IGN), signal(SIGTTIN, SIG_IGN);
  SHOW(tcsetattr(s, TCSANOW, &t));
  SHOW(write(s, "w", 1));
  SHOW(read(s, b, 1));
  sigaction(SIGTTOU, &a, 0);
  SHOW(write(s, "w", 1));
  sigset_t both;
  sigemptyset(&both), sigaddset(&both, SIGTTIN), sigaddset(&both, SIGTTOU);
  sigaction(SIGTTIN, &a, 0);
  sigprocmask(SIG_BLOCK, &both, 0);
  SHOW(read(s, b, 1));
  SHOW(write(s, "w", 1));
  return 0;
}
static int stops(void) {
  setpgid(0, 0);
  signal(SIGTTIN, SIG_DFL);
  fcntl(s, F_SETFL, 0);
  read(s, b, 1);
  return 5;
}
static int go[2];
static int orphan(void) {
  // Its parent and its group are gone from the session.
  setpgid(0, 0);
  if (fork())
    _exit(0);
  close(go[1]), read(go[0], b, 1);
  signal(SIGTTIN, hear);
  SHOW(read(s, b, 1));
  SHOW(heard[SIGTTIN]);
  struct termios t;
  SHOW(tcgetattr(s, &t) ?: tcsetattr(s, TCSANOW, &t));
  SHOW(raise(SIGTSTP));
  fflush(stdout);
  _exit(0);
}
static int session(void) {
  make();
  leader = setsid();
  SHOW(tcgetpgrp(s));
  SHOW(tcgetsid(s));
  SHOW(ioctl(s, TIOCNOTTY));
  SHOW(ioctl(s, TIOCSCTTY, 0));
  SHOW(ioctl(s, TIOCSCTTY, 0));
  SHOW(tcgetsid(s) == leader && tcgetpgrp(s) == leader);
  SHOW(tcsetpgrp(s, leader));
  int all[] = {SIGINT, SIGQUIT, SIGTSTP, SIGWINCH, SIGCONT, SIGHUP};
  for (int i = 0; i < 6; i++)
    signal(all[i], hear);
  // Each drops what was not passed on before.
  SAY(m, "\x03"), holds(m, 2), SAY(m, "\x1c"), holds(m, 4), SAY(m, "\x1a"), holds(m, 6);
  UNTIL(heard[SIGINT] && heard[SIGQUIT] && heard[SIGTSTP]);
  SHOW(heard[SIGINT] * 100 + heard[SIGQUIT] * 10 + heard[SIGTSTP]);
  READ(m);
  struct winsize w = {5, 6, 0, 0};
  SHOW(ioctl(s, TIOCSWINSZ, &w) ?: heard[SIGWINCH]);
  SHOW(ioctl(m, TIOCSWINSZ, &w) ?: heard[SIGWINCH]);
  SHOW(in_child(background));
  fflush(stdout);
  pid_t id = fork();
  if (!id)
    _exit(stops());
  int status;
  SHOW(waitpid(id, &status, WUNTRACED) == id && WIFSTOPPED(status));
  SHOW(WSTOPSIG(status));
  SHOW(tcsetpgrp(s, id));
  tcflush(m, TCIOFLUSH);
  SAY(m, "fg\n");
  SHOW(kill(-id, SIGCONT));
  SHOW(waitpid(id, &status, 0) == id && WEXITSTATUS(status));
  signal(SIGTTOU, SIG_IGN);
  SHOW(tcsetpgrp(s, leader));
  int over[2];
  pipe(over), pipe(go);
  SHOW(in_child(orphan));
  close(go[1]), close(over[1]), read(over[0], b, 1);
  heard[SIGHUP] = heard[SIGCONT] = 0;
  close(m);
  UNTIL(heard[SIGHUP] && heard[SIGCONT]);
  SHOW(heard[SIGHUP] * 10 + heard[SIGCONT]);
  SHOW(open("/dev/tty", O_RDWR));
  return 0;
}
static int away(void) {
  make();
  setsid();
  ioctl(s, TIOCSCTTY, 0);
  signal(SIGHUP, hear), signal(SIGCONT, hear);
  SHOW(ioctl(s, TIOCNOTTY) ?: heard[SIGHUP] * 10 + heard[SIGCONT]);
  SHOW(tcgetpgrp(s));
  SHOW(open("/dev/tty", O_RDWR));
  SHOW(ioctl(s, TIOCSCTTY, 0));
  // A group whose members are stopped hears when it is orphaned.
  int p[2];
  pipe(p);
  fflush(stdout);
  if (!fork()) {
    setpgid(0, 0);
    pid_t id = fork();
    if (!id) {
      signal(SIGHUP, hear);
      raise(SIGSTOP);
      char c = '0' + heard[SIGHUP];
      write(p[1], &c, 1);
      _exit(0);
    }
    int status;
    waitpid(id, &status, WUNTRACED);
    _exit(0);
  }
  close(p[1]);
  wait(0);
  SHOW(read(p[0], b, 1) ? b[0] : 0);
  return 0;
}
// A terminal that is hung up is followed by another one, of which a process may have none.
static int follows(void) {
  signal(SIGHUP, hear), signal(SIGCONT, hear);
  leader = setsid();
  make();
  int first = m, gone = s, n;
  SHOW(ioctl(s, TIOCSCTTY, 0));
  make();
  SHOW(ioctl(s, TIOCSCTTY, 0));
  close(first);
  UNTIL(heard[SIGHUP] && heard[SIGCONT]);
  SHOW(heard[SIGHUP] * 10 + heard[SIGCONT]);
  SHOW(open("/dev/tty", O_RDWR));
  SHOW(ioctl(gone, TIOCSCTTY, 0));
  SHOW(ioctl(s, TIOCSCTTY, 0));
  SHOW(tcgetsid(m) == leader);
  SHOW(open("/dev/tty", O_RDWR) >= 0);
  fflush(stdout);
  pid_t id = fork();
  if (!id) {
    SHOW(tcgetsid(s) == leader);
    SHOW(ioctl(s, TIOCNOTTY));
    SHOW(ioctl(s, TIOCNOTTY));
    SHOW(tcgetsid(s));
    SHOW(open("/dev/tty", O_RDWR));
    SHOW(ioctl(s, TIOCSCTTY, 0));
    SHOW(getsid(0) == leader);
    setpgid(0, 0);
    signal(SIGTTIN, hear), signal(SIGTTOU, hear);
    SHOW(read(s, b, 1));
    SHOW(tcflush(s, TCIFLUSH));
    fflush(stdout);
    _exit(0);
  }
  waitpid(id, 0, 0);
  SHOW(tcgetsid(s) == leader);
  if (!(id = fork())) {
    setpgid(0, 0);
    signal(SIGTTOU, SIG_DFL);
    SAY(s, "printed");
    SAY(m, "typed\n");
    holds(m, 14);
    SHOW(tcflush(m, TCIFLUSH));
    READ(m);
    SHOW(tcflush(m, TCIOFLUSH));
    SHOW(tcflush(m, 9));
    SHOW(ioctl(m, TCXONC, 9));
    SHOW(tcsendbreak(m, 0));
    SHOW(tcdrain(m));
    SHOW(ioctl(s, FIONREAD, &n) ?: n);
    fflush(stdout);
    _exit(0);
  }
  int status;
  SHOW(waitpid(id, &status, WUNTRACED) == id && WIFEXITED(status));
  return 0;
}
int main(void) {
  SHOW(in_child(lines));
  SHOW(in_child(modes));
  SHOW(in_child(session));
  SHOW(in_child(away));
  SHOW(in_child(follows));
}
