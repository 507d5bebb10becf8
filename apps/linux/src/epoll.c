// epoll(7)
#include "show.h"
static struct epoll_event ev(uint32_t events, uint64_t data) {
  struct epoll_event e = {events, {.u64 = data}};
  return e;
}
int main(void) {
  SHOW(epoll_create(0));
  SHOW(epoll_create1(1));
  int e = epoll_create1(0), p[2], q[2];
  pipe(p);
  pipe(q);
  struct epoll_event in = ev(EPOLLIN, 7), got[4];
  SHOW(epoll_ctl(e, EPOLL_CTL_MOD, p[0], &in));
  SHOW(epoll_ctl(e, EPOLL_CTL_ADD, p[0], &in));
  SHOW(epoll_ctl(e, EPOLL_CTL_ADD, p[0], &in));
  SHOW(epoll_ctl(e, 9, p[0], &in));
  SHOW(epoll_ctl(e, EPOLL_CTL_ADD, e, &in));
  SHOW(epoll_ctl(e, EPOLL_CTL_ADD, 99, &in));
  SHOW(epoll_ctl(p[0], EPOLL_CTL_ADD, q[0], &in));
  SHOW(epoll_ctl(e, EPOLL_CTL_ADD, q[0], (void *)8));
  int f = open("/proc/self/exe", O_RDONLY);
  SHOW(epoll_ctl(e, EPOLL_CTL_ADD, f, &in));
  SHOW(epoll_wait(e, got, 0, 0));
  SHOW(epoll_wait(e, got, 4, 0));
  SHOW(epoll_wait(p[0], got, 4, 0));
  write(p[1], "ab", 2);
  SHOW(epoll_wait(e, got, 4, -1));
  SHOW(got[0].events);
  SHOW(got[0].data.u64);
  SHOW(epoll_wait(e, got, 4, 0));
  // An edge is told once.
  in = ev(EPOLLIN | EPOLLET, 8);
  SHOW(epoll_ctl(e, EPOLL_CTL_MOD, p[0], &in));
  SHOW(epoll_wait(e, got, 4, 0));
  SHOW(epoll_wait(e, got, 4, 0));
  write(p[1], "c", 1);
  SHOW(epoll_wait(e, got, 4, 0));
  in = ev(EPOLLIN | EPOLLONESHOT, 9);
  SHOW(epoll_ctl(e, EPOLL_CTL_MOD, p[0], &in));
  SHOW(epoll_wait(e, got, 4, 0));
  write(p[1], "d", 1);
  SHOW(epoll_wait(e, got, 4, 0));
  SHOW(epoll_ctl(e, EPOLL_CTL_MOD, p[0], &in));
  SHOW(epoll_wait(e, got, 4, 0));
  // An epoll in another one.
  int outer = epoll_create1(0);
  in = ev(EPOLLIN, 5);
  SHOW(epoll_ctl(outer, EPOLL_CTL_ADD, e, &in));
  SHOW(epoll_ctl(e, EPOLL_CTL_ADD, outer, &in));
  SHOW(epoll_wait(outer, got, 4, 0));
  SHOW(epoll_ctl(e, EPOLL_CTL_ADD, q[0], &in));
  write(q[1], "x", 1);
  SHOW(epoll_wait(outer, got, 4, 0));
  // The end of the other side is always told.
  in = ev(0, 6);
  SHOW(epoll_ctl(e, EPOLL_CTL_MOD, q[0], &in));
  SHOW(epoll_wait(e, got, 4, 0));
  close(q[1]);
  SHOW(epoll_wait(e, got, 4, 0));
  SHOW(got[0].events);
  SHOW(epoll_ctl(e, EPOLL_CTL_DEL, q[0], 0));
  SHOW(epoll_ctl(e, EPOLL_CTL_DEL, q[0], 0));
  // A closed one is told no more.
  int d = dup(p[0]);
  close(p[0]);
  in = ev(EPOLLIN, 1);
  SHOW(epoll_ctl(e, EPOLL_CTL_ADD, d, &in));
  SHOW(epoll_wait(e, got, 4, 0));
  close(d);
  SHOW(epoll_wait(e, got, 4, 0));
  long begun = ms();
  SHOW(epoll_wait(e, got, 4, 50));
  IS(ms() - begun >= 50);
}
