// Children that open all that they may, until nothing more is given: whoever asks after that is told why, and lives.
#include "show.h"
#define CHILDREN 60
struct said {
  volatile int error, sockets, flying;
};
// Where children say what they met: writing to a pipe would take memory.
static struct said *all_said;
static void eat(struct said *said, int passes) {
  int p[2];
  said->sockets = said->flying = 0;
  while (errno = 0, !socketpair(AF_UNIX, SOCK_STREAM, 0, p)) {
    said->sockets += 2;
    if (passes) {
      // Each is in the queue of its peer.
      char control[CMSG_SPACE(8)] = {0}, b = 0;
      struct iovec part = {&b, 1};
      struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
      struct cmsghdr *h = CMSG_FIRSTHDR(&m);
      h->cmsg_level = SOL_SOCKET, h->cmsg_type = SCM_RIGHTS, h->cmsg_len = CMSG_LEN(8);
      memcpy(CMSG_DATA(h), p, 8);
      if (sendmsg(p[0], &m, MSG_DONTWAIT) < 0)
        break;
      said->flying += 2;
    }
  }
  said->error = errno;
  pause();
}
static void round_of(const char *who, int user, int passes) {
  int pids[CHILDREN], began = 0, errors[200] = {0}, sockets = 0, flying = 0, killed = 0;
  memset(all_said, 0, CHILDREN * sizeof *all_said);
  for (; began < CHILDREN; began++) {
    int pid = fork();
    if (pid < 0)
      break;
    if (!pid) {
      if (user)
        setgid(user), setuid(user);
      eat(&all_said[began], passes);
    }
    pids[began] = pid;
  }
  for (int i = 0; i < began; i++) {
    while (!all_said[i].error && pids[i])
      if (waitpid(pids[i], 0, WNOHANG) == pids[i])
        pids[i] = 0, killed++;
      else
        usleep(1000);
    errors[all_said[i].error]++, sockets += all_said[i].sockets, flying += all_said[i].flying;
  }
  printf("%s: %s sockets, %s in flight:", who, sockets > 3000 ? "many" : "few", flying ? "some" : "none");
  for (int i = 1; i < 200; i++)
    if (errors[i])
      printf(" %s", strerrorname_np(i));
  puts("");
  printf("(%d children, of which %d ended early, %d sockets, %d in flight)\n", began, killed, sockets, flying);
  long before = ms();
  for (int i = 0; i < began; i++)
    if (pids[i])
      kill(pids[i], SIGKILL);
  for (int i = 0; i < began; i++)
    if (pids[i])
      waitpid(pids[i], 0, 0);
  printf("(%ld ms until they were gone)\n", ms() - before);
  IS(!system("true"));
}
int main(void) {
  struct rlimit most = {16384, 16384};
  setrlimit(RLIMIT_NOFILE, &most);
  all_said = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  round_of("a user", 1000, 0);
  round_of("root", 0, 0);
  round_of("a user who passes them", 1000, 1);
  round_of("root who passes them", 0, 1);
  puts("all live");
}
