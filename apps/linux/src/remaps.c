// mmap(2), mremap(2), munmap(2), mprotect(2), madvise(2), mincore(2), msync(2), mlock(2): what is left where maps meet
#include "show.h"
#include <sys/prctl.h>
#define P 4096L
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif
#define RW (PROT_READ | PROT_WRITE)
static char *map(long pages, int prot) { return mmap(0, pages * P, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); }
// A place with nothing around it.
static char *alone(long pages, long first, long count) {
  char *at = map(pages, PROT_NONE);
  munmap(at, pages * P);
  return mmap(at + first * P, count * P, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}
// Each page's first byte; '.' is nothing, '-' what may not be read.
static void pages(const char *what, char *at, int n) {
  static int p[2];
  if (!p[1])
    pipe(p);
  printf("%s: ", what);
  for (int i = 0; i < n; i++) {
    char c = 0;
    unsigned char in;
    if (mincore(at + i * P, P, &in))
      putchar('.');
    else if (write(p[1], at + i * P, 1) != 1)
      putchar('-');
    else
      read(p[0], &c, 1), putchar(c ? c : '0');
  }
  puts("");
}
// The areas there, as offsets and rights.
static void areas(const char *what, char *at, int n) {
  static char line[400];
  FILE *f = fopen("/proc/self/maps", "r");
  printf("%s:", what);
  while (fgets(line, sizeof line, f)) {
    unsigned long from, to;
    char bits[8];
    sscanf(line, "%lx-%lx %7s", &from, &to, bits);
    if (to <= (unsigned long)at || from >= (unsigned long)at + n * P)
      continue;
    long first = ((long)from - (long)at) / P, end = ((long)to - (long)at) / P;
    printf(" %ld-%ld%s", first < 0 ? 0 : first, end > n ? n : end, bits);
  }
  puts("");
  fclose(f);
}
static void fill(char *at, int n) {
  for (int i = 0; i < n; i++)
    at[i * P] = 'a' + i;
}
#define WHERE(call, base)                                                                                                              \
  do {                                                                                                                                 \
    errno = 0;                                                                                                                         \
    char *at_ = (void *)(call);                                                                                                        \
    printf("%s: %s %d\n", #call, at_ == MAP_FAILED ? strerrorname_np(errno) : "at", at_ == MAP_FAILED ? 0 : at_ == (char *)(base));    \
  } while (0)
int main(void) {
  char *a = alone(64, 16, 8), *b, *c;
  fill(a, 8);
  // Sizes.
  WHERE(mremap(a, 8 * P, 4 * P, 0), a);
  areas("shrunk", a, 8), pages("shrunk", a, 8);
  WHERE(mremap(a, 4 * P, 8 * P, 0), a);
  pages("grown", a, 9);
  WHERE(mremap(a, 8 * P, 8 * P, 0), a);
  WHERE(mremap(a, P - 1, 2, 0), a);
  WHERE(mremap(a, 2 * P, P + 1, 0), a);
  pages("rounded", a, 9);
  WHERE(mremap(a, 0, P, 0), a);
  WHERE(mremap(a, 0, P, MREMAP_MAYMOVE), a);
  WHERE(mremap(a, P, 0, MREMAP_MAYMOVE), a);
  WHERE(mremap(a + 5, P, P, 0), a);
  WHERE(mremap(a, P, -P, MREMAP_MAYMOVE), a);
  WHERE(mremap(a, -P, P, MREMAP_MAYMOVE), a);
  WHERE(mremap(a, 16 * P, P, 0), a);
  WHERE(mremap(a, P, P, 8), a);
  WHERE(mremap(a + 32 * P, P, P, 0), a);
  WHERE(mremap(a + 32 * P, P, 2 * P, MREMAP_MAYMOVE), a);
  munmap(a, 9 * P);
  // Growing where something is in the way.
  a = alone(64, 16, 4), fill(a, 4);
  mmap(a + 6 * P, P, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  WHERE(mremap(a, 4 * P, 6 * P, 0), a);
  WHERE(mremap(a, 6 * P, 7 * P, 0), a);
  areas("as it was", a, 8);
  WHERE(b = mremap(a, 6 * P, 7 * P, MREMAP_MAYMOVE), a);
  IS(b != a);
  pages("moved", b, 7), pages("from", a, 7);
  // The middle of it, and over a border.
  WHERE(mremap(b + 2 * P, P, 2 * P, 0), b + 2 * P);
  WHERE(c = mremap(b + 2 * P, P, 2 * P, MREMAP_MAYMOVE), b + 2 * P);
  pages("a hole", b, 7), pages("it", c, 2);
  WHERE(mremap(b, 4 * P, 2 * P, 0), b);
  WHERE(mremap(b, 4 * P, 4 * P, MREMAP_MAYMOVE), b);
  WHERE(mremap(b, 4 * P, 5 * P, MREMAP_MAYMOVE), b);
  munmap(b, 7 * P), munmap(c, 2 * P), munmap(a, 8 * P);
  // To a place.
  a = alone(64, 16, 4), b = a + 16 * P;
  fill(a, 4);
  WHERE(mremap(a, 2 * P, 2 * P, MREMAP_MAYMOVE | MREMAP_FIXED, b), b);
  pages("from", a, 4), pages("to", b, 4);
  WHERE(mremap(a + 2 * P, 2 * P, 3 * P, MREMAP_MAYMOVE | MREMAP_FIXED, b + P), b + P);
  pages("over", b, 6);
  WHERE(mremap(b, P, P, MREMAP_FIXED, a), a);
  WHERE(mremap(b, P, P, MREMAP_MAYMOVE | MREMAP_FIXED, a + 1), a);
  WHERE(mremap(b, P, P, MREMAP_MAYMOVE | MREMAP_FIXED, b), a);
  WHERE(mremap(b + P, 2 * P, 2 * P, MREMAP_MAYMOVE | MREMAP_FIXED, b + 2 * P), a);
  WHERE(mremap(b + P, 3 * P, P, MREMAP_MAYMOVE | MREMAP_FIXED, a), a);
  pages("short", a, 4), pages("rest", b, 6);
  WHERE(mremap(a, P, P, MREMAP_MAYMOVE | MREMAP_FIXED, 1L << 47), a);
  WHERE(mremap(a, P, P, MREMAP_MAYMOVE | MREMAP_FIXED, 0), a);
  munmap(a, 32 * P);
  // What stays behind.
  a = alone(64, 16, 4), fill(a, 4);
  WHERE(b = mremap(a, 2 * P, 2 * P, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0), a);
  pages("left", a, 4), pages("taken", b, 2);
  WHERE(mremap(a, 2 * P, P, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0), a);
  WHERE(mremap(a, 2 * P, 2 * P, MREMAP_DONTUNMAP, 0), a);
  WHERE(mremap(a + 2 * P, 2 * P, 2 * P, MREMAP_MAYMOVE | MREMAP_DONTUNMAP | MREMAP_FIXED, a + 16 * P), a + 16 * P);
  pages("left", a, 4), pages("taken", a + 16 * P, 2);
  munmap(a, 4 * P), munmap(b, 2 * P), munmap(a + 16 * P, 2 * P);
  // Not over another one.
  a = alone(64, 16, 4), fill(a, 4);
  WHERE(mmap(a + P, P, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0), a + P);
  WHERE(mmap(a - P, 2 * P, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0), a - P);
  WHERE(mmap(a + 3 * P, 2 * P, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0), a);
  WHERE(mmap(a + 4 * P, P, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0), a + 4 * P);
  WHERE(mmap(a + 4 * P, P, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_FIXED, -1, 0), a + 4 * P);
  WHERE(mmap(a + 1, P, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0), a);
  WHERE(mmap(a + 8 * P + 5, P, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), a + 8 * P);
  areas("with a neighbour", a, 10);
  // Parts of it.
  SHOW(mprotect(a + P, P, PROT_READ));
  SHOW(mprotect(a + 2 * P, P, PROT_NONE));
  areas("three", a, 5);
  SHOW(mprotect(a, 6 * P, PROT_READ));
  areas("as far as it goes", a, 5);
  SHOW(mprotect(a, 5 * P, RW));
  areas("one again", a, 5);
  SHOW(mprotect(a, 0, 99));
  SHOW(mprotect(a, P, PROT_READ | PROT_GROWSDOWN));
  SHOW(mprotect(a, P, PROT_READ | PROT_GROWSUP));
  SHOW(munmap(a + P, 2 * P));
  areas("a hole", a, 5), pages("a hole", a, 5);
  SHOW(munmap(a, 5 * P));
  SHOW(munmap(a, 5 * P));
  SHOW(munmap(a, P - 1));
  SHOW(munmap((void *)-P, P));
  SHOW(munmap(a, 1L << 62));
  // Advice.
  a = alone(64, 16, 6), fill(a, 6);
  munmap(a + 3 * P, P);
  static const int advice[] = {MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED, MADV_DONTNEED, MADV_FREE, MADV_REMOVE, MADV_DONTFORK, MADV_DOFORK, MADV_DONTDUMP, MADV_DODUMP, MADV_WIPEONFORK, MADV_KEEPONFORK, MADV_COLD, MADV_PAGEOUT, MADV_POPULATE_READ, MADV_POPULATE_WRITE, 5, 7, 13, 26, -1};
  for (unsigned i = 0; i < sizeof advice / sizeof *advice; i++) {
    printf("%d:", advice[i]);
    for (int how = 0; how < 6; how++) {
      errno = 0;
      int r = madvise(how == 4 ? a + 1 : how == 5 ? a + 30 * P : a, (long[]){P, 6 * P, 0, -P, P, P}[how], advice[i]);
      printf(" %s", r ? strerrorname_np(errno) : "ok");
    }
    puts("");
    fill(a, 3);
  }
  char *ro = map(2, PROT_READ), *none = map(2, PROT_NONE);
  SHOW(madvise(ro, P, MADV_POPULATE_READ));
  SHOW(madvise(ro, P, MADV_POPULATE_WRITE));
  SHOW(madvise(none, P, MADV_POPULATE_READ));
  SHOW(madvise(none, P, MADV_DONTNEED));
  fill(a, 3);
  SHOW(madvise(a + P, 4 * P, MADV_DONTNEED));
  pages("not needed", a, 6);
  unsigned char in[8] = {0};
  char *fresh = map(4, RW);
  fresh[P] = 1;
  SHOW(mincore(fresh, 4 * P, in) ?: in[0] * 1000 + in[1] * 100 + in[2] * 10 + in[3]);
  SHOW(mincore(fresh, 1, in) ?: in[0]);
  SHOW(mincore(fresh, 0, in));
  SHOW(mincore(a, 6 * P, in));
  SHOW(mincore(none, P, in) ?: in[0]);
  SHOW(mincore((void *)-P, P, in));
  // Locks.
  SHOW(mlock(fresh + 5, 1));
  SHOW(mincore(fresh, 4 * P, in) ?: in[0] * 1000 + in[1] * 100 + in[2] * 10 + in[3]);
  SHOW(madvise(fresh, P, MADV_DONTNEED));
  SHOW(madvise(fresh, P, MADV_FREE));
  SHOW(munlock(fresh, P));
  SHOW(mlock(a, 6 * P));
  SHOW(mlock(none, P));
  SHOW(munlock(none, P) ?: munlock(a, 3 * P));
  SHOW(munlock(a, 6 * P));
  SHOW(mlock(fresh, 0));
  SHOW(mlock2(fresh, 4 * P, MLOCK_ONFAULT));
  SHOW(munlockall());
  SHOW(mlockall(MCL_ONFAULT));
  SHOW(mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT));
  char *later = map(2, RW);
  SHOW(madvise(later, P, MADV_DONTNEED));
  SHOW(munlockall());
  SHOW(madvise(later, P, MADV_DONTNEED));
  fflush(stdout);
  if (!fork()) {
    setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){2 * P, 2 * P});
    setuid(9);
    SHOW(mlock(fresh, 2 * P));
    SHOW(mlock(fresh, 3 * P));
    SHOW(mlock(fresh, P));
    SHOW((long)mmap(0, P, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0));
    SHOW(mlockall(MCL_CURRENT));
    SHOW(munlock(fresh, P) ?: mlock(fresh + 3 * P, P));
    setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){0, 0});
    SHOW(mlock(fresh, P));
    fflush(stdout);
    _exit(0);
  }
  wait(0);
  // Of a file.
  int f = open("/tmp/remaps", O_CREAT | O_RDWR | O_TRUNC, 0600);
  for (int i = 0; i < 6; i++)
    pwrite(f, (char[]){'A' + i}, 1, i * P);
  a = mmap(0, 2 * P, RW, MAP_SHARED, f, P);
  pages("a file", a, 2);
  WHERE(b = mremap(a, 2 * P, 4 * P, MREMAP_MAYMOVE), b);
  pages("more of it", b, 4);
  WHERE(c = mremap(b + P, 0, 2 * P, MREMAP_MAYMOVE), c);
  pages("twice", c, 2);
  c[0] = 'z', pages("seen", b, 4);
  WHERE(mremap(b, 4 * P, 4 * P, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0), b);
  a = mmap(0, 3 * P, RW, MAP_PRIVATE, f, 0);
  a[0] = 'q';
  WHERE(mremap(a, 0, P, MREMAP_MAYMOVE), a);
  WHERE(a = mremap(a, 3 * P, 5 * P, MREMAP_MAYMOVE), a);
  pages("own", a, 5);
  SHOW(madvise(a, 5 * P, MADV_DONTNEED));
  pages("the file's", a, 5);
  SHOW(msync(a, 5 * P, MS_INVALIDATE | MS_SYNC));
  SHOW(msync(c, 2 * P, MS_SYNC) ?: msync(c, 0, MS_ASYNC));
  SHOW(msync(c, 2 * P, 0));
  SHOW(msync(c + 1, P, MS_SYNC));
  mlock(c, P);
  SHOW(msync(c, P, MS_INVALIDATE));
  // The heap.
  char *now = sbrk(0), *end = (char *)(((long)now + P - 1) / P * P);
  SHOW(brk(end + 4 * P));
  fill(end, 4);
  SHOW(munmap(end + P, P));
  SHOW(brk(end + 5 * P));
  pages("a hole in the heap", end, 6);
  WHERE(mmap(end + 5 * P, P, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0), end + 5 * P);
  SHOW(brk(end + 6 * P));
  IS(sbrk(0) == end + 5 * P);
  SHOW(brk(end + P / 2));
  IS(sbrk(0) == end + P / 2);
  pages("less of it", end, 6);
  SHOW(brk(now));
  fflush(stdout);
  if (!fork()) {
    setrlimit(RLIMIT_DATA, &(struct rlimit){1 << 20, 1 << 20});
    SHOW(brk(end + (1 << 21)));
    SHOW((long)mmap(0, 1 << 21, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    WORKS(mmap(0, 1 << 21, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    setrlimit(RLIMIT_AS, &(struct rlimit){1 << 20, 1 << 20});
    SHOW((long)mmap(0, P, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    SHOW((long)mremap(fresh, 4 * P, 5 * P, MREMAP_MAYMOVE));
    WHERE(mmap(fresh, P, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), fresh);
    fflush(stdout);
    _exit(0);
  }
  wait(0);
  unlink("/tmp/remaps");
}
