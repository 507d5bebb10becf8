// eventfd(2)
#include "show.h"
int main(void) {
  SHOW(eventfd(0, 0x7000) > 0);
  int e = eventfd(3, EFD_NONBLOCK);
  uint64_t v = 0;
  SHOW(read(e, &v, 7));
  SHOW(read(e, &v, 8));
  IS(v == 3);
  SHOW(read(e, &v, 8));
  v = 5;
  SHOW(write(e, &v, 8));
  SHOW(write(e, &v, 7));
  SHOW(read(e, &v, 100));
  IS(v == 5);
  v = UINT64_MAX;
  SHOW(write(e, &v, 8));
  v = UINT64_MAX - 1;
  SHOW(write(e, &v, 8));
  v = 1;
  SHOW(write(e, &v, 8));
  struct pollfd p = {e, POLLIN | POLLOUT, 0};
  SHOW(poll(&p, 1, 0));
  SHOW(p.revents);
  e = eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK);
  SHOW(read(e, &v, 8));
  IS(v == 1);
  SHOW(read(e, &v, 8));
  SHOW(read(e, &v, 8));
  SHOW(lseek(e, 0, SEEK_CUR));
}
