// poll(2), select(2)
#include "show.h"
static void none(int s) { (void)s; }
int main(void) {
  int p[2];
  pipe(p);
  struct pollfd all[3] = {{p[0], POLLIN, 9}, {-5, POLLIN, 9}, {99, POLLIN, 9}};
  SHOW(poll(all, 2, 0));
  SHOW(all[0].revents);
  SHOW(all[1].revents);
  SHOW(poll(all, 3, -1));
  SHOW(all[2].revents);
  SHOW(poll((void *)8, 1, 0));
  SHOW(poll(all, 1u << 30, 0));
  write(p[1], "x", 1);
  SHOW(poll(all, 2, -1));
  SHOW(all[0].revents);
  close(p[1]);
  SHOW(poll(all, 1, 0));
  SHOW(all[0].revents);
  struct timespec bad = {0, 1000000000};
  SHOW(ppoll(all, 1, &bad, 0));
  long begun = ms();
  SHOW(poll(0, 0, 30));
  IS(ms() - begun >= 30);
  // A signal ends the wait, whatever its handler wants.
  struct sigaction a = {.sa_handler = none, .sa_flags = SA_RESTART};
  sigaction(SIGALRM, &a, 0);
  rings(1);
  SHOW(poll(0, 0, 30000));
  rings(0);
  pipe(p);
  fd_set r, w;
  FD_ZERO(&r);
  FD_ZERO(&w);
  FD_SET(p[0], &r);
  FD_SET(p[1], &w);
  SHOW(select(p[1] + 1, &r, &w, 0, 0));
  IS(!FD_ISSET(p[0], &r) && FD_ISSET(p[1], &w));
  FD_SET(p[0], &r);
  struct timeval soon = {0, 20000};
  SHOW(select(p[1] + 1, &r, 0, 0, &soon));
  SHOW(soon.tv_sec * 1000000 + soon.tv_usec);
  FD_SET(40, &r);
  SHOW(select(41, &r, 0, 0, &soon));
  // What is beyond the table is not looked at.
  FD_ZERO(&r);
  FD_SET(900, &r);
  SHOW(select(1024, &r, 0, 0, &soon));
  IS(FD_ISSET(900, &r));
  SHOW(dup2(p[0], 300));
  FD_SET(500, &r);
  SHOW(select(1024, &r, 0, 0, &soon));
  SHOW(select(-1, 0, 0, 0, &soon));
  soon.tv_usec = -1;
  SHOW(select(0, 0, 0, 0, &soon));
  // What is open by its name alone is not there to be waited for.
  int name = open("/tmp", O_PATH), set = epoll_create1(0);
  all[0] = (struct pollfd){name, POLLIN, 0};
  SHOW(poll(all, 1, -1));
  SHOW(all[0].revents);
  FD_ZERO(&r);
  FD_SET(name, &r);
  w = r;
  fd_set x = r;
  SHOW(select(name + 1, &r, &w, &x, 0));
  struct epoll_event event = {EPOLLIN, {0}};
  SHOW(epoll_ctl(set, EPOLL_CTL_ADD, name, &event));
  SHOW(epoll_ctl(name, EPOLL_CTL_ADD, set, &event));
  SHOW(epoll_wait(name, &event, 1, 0));
  SHOW(listen(name, 1));
}
