// timerfd_create(2)
#include "show.h"
int main(void) {
  SHOW(timerfd_create(77, 0));
  SHOW(timerfd_create(CLOCK_MONOTONIC, 3));
  int t = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
  struct itimerspec s = {{0, 0}, {0, 0}}, old;
  SHOW(timerfd_settime(0, 0, &s, 0));
  s.it_value.tv_nsec = 1000000000;
  SHOW(timerfd_settime(t, 0, &s, 0));
  SHOW(timerfd_settime(t, 0, 0, 0));
  uint64_t n = 0;
  SHOW(read(t, &n, 8));
  s.it_value.tv_nsec = 20000000;
  s.it_interval.tv_nsec = 20000000;
  SHOW(timerfd_settime(t, 0, &s, &old));
  SHOW(timerfd_gettime(t, &old));
  SHOW(old.it_interval.tv_nsec);
  IS(old.it_value.tv_nsec > 0 && old.it_value.tv_nsec <= 20000000);
  struct pollfd p = {t, POLLIN, 0};
  SHOW(poll(&p, 1, 5000));
  usleep(50000);
  SHOW(read(t, &n, 7));
  SHOW(read(t, &n, 8));
  IS(n >= 2);
  s.it_interval.tv_nsec = 0;
  s.it_value.tv_nsec = 1;
  SHOW(timerfd_settime(t, TFD_TIMER_ABSTIME, &s, 0));
  SHOW(poll(&p, 1, 5000));
  SHOW(read(t, &n, 8));
  SHOW(n);
  SHOW(read(t, &n, 8));
  SHOW(timerfd_gettime(t, &old));
  SHOW(old.it_value.tv_nsec);
}
