// mmap(2), munmap(2), mprotect(2), mremap(2), madvise(2), msync(2), mincore(2), brk(2)
#include "show.h"
#define P 4096L
static int dies(char *at, int write) {
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    if (write)
      *(volatile char *)at = 1;
    else
      (void)*(volatile char *)at;
    _exit(0);
  }
  int status;
  waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}
int main(void) {
  SHOW(mmap(0, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  SHOW(mmap(0, P, PROT_READ, MAP_ANONYMOUS, -1, 0));
  SHOW(mmap(0, P, PROT_READ, MAP_PRIVATE, -1, 0));
  SHOW(mmap((void *)1, P, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
  SHOW(mmap(0, 1L << 62, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  WORKS(mmap(0, 1L << 40, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  char *m = mmap(0, 8 * P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  IS(m[5] == 0);
  memset(m, 'x', 8 * P);
  SHOW(mmap(m, P, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0));
  SHOW(munmap(m + 1, P));
  SHOW(munmap(m, 0));
  SHOW(munmap(m + 2 * P, P));
  SHOW(munmap(m + 2 * P, P));
  SHOW(dies(m + 2 * P, 0));
  SHOW(dies(m + 3 * P, 0));
  SHOW(mprotect(m, 8 * P, PROT_READ));
  SHOW(mprotect(m, P + 1, PROT_READ));
  SHOW(dies(m, 1));
  SHOW(dies(m + P, 1));
  SHOW(mprotect(m + 1, P, PROT_READ));
  SHOW(mprotect(m + 4 * P, P, PROT_NONE));
  SHOW(dies(m + 4 * P, 0));
  SHOW(mprotect(m + 4 * P, P, PROT_READ | PROT_WRITE));
  IS(m[4 * P] == 'x');
  SHOW(madvise(m + 4 * P, P, MADV_DONTNEED));
  IS(m[4 * P] == 0);
  SHOW(madvise(m + 4 * P, P, 12345));
  SHOW(madvise(m + 1, P, MADV_DONTNEED));
  unsigned char in[8];
  m[4 * P] = 1;
  SHOW(mincore(m + 4 * P, P, in));
  SHOW(in[0] & 1);
  SHOW(mincore(m + 2 * P, P, in));
  SHOW(msync(m, P, MS_SYNC | MS_ASYNC));
  SHOW(msync(m + 2 * P, P, MS_SYNC));
  SHOW(mlock(m, P));
  SHOW(munlock(m, P));
  char *g = mmap(0, 4 * P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memset(g, 'g', 4 * P);
  SHOW(mremap(g, 4 * P, 2 * P, 0) == g);
  SHOW(dies(g + 2 * P, 0));
  SHOW(mremap(g, 2 * P, 64 * P, 0));
  char *n = mremap(g, 2 * P, 64 * P, MREMAP_MAYMOVE);
  IS(n != MAP_FAILED && n[2 * P - 1] == 'g' && n[2 * P] == 0);
  SHOW(mremap(n + 1, P, P, 0));
  SHOW(mremap(n, P, 0, 0));
  // Shared between processes, and private after a fork.
  int *shared = mmap(0, P, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  int *own = mmap(0, P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  *own = *shared = 1;
  fflush(stdout);
  if (fork() == 0) {
    *own = *shared = 2;
    _exit(0);
  }
  wait(0);
  SHOW(*own);
  SHOW(*shared);
  // Files.
  int f = open("/tmp/mapped", O_RDWR | O_CREAT | O_TRUNC, 0600);
  write(f, "0123456789", 10);
  char *s = mmap(0, 2 * P, PROT_READ | PROT_WRITE, MAP_SHARED, f, 0);
  char *p = mmap(0, P, PROT_READ | PROT_WRITE, MAP_PRIVATE, f, 0);
  IS(!memcmp(s, "0123456789\0", 11));
  SHOW(dies(s + P, 0));
  p[0] = 'p';
  s[1] = 's';
  char b[10];
  pread(f, b, 10, 0);
  IS(!memcmp(b, "0s23456789", 10));
  pwrite(f, "w", 1, 2);
  IS(s[2] == 'w' && p[0] == 'p');
  SHOW(ftruncate(f, 2 * P));
  SHOW(dies(s + P, 0));
  SHOW(ftruncate(f, 0));
  SHOW(dies(s, 0));
  SHOW(mmap(0, P, PROT_READ, MAP_PRIVATE, f, 1));
  int r = open("/tmp/mapped", O_RDONLY);
  SHOW(mmap(0, P, PROT_READ | PROT_WRITE, MAP_SHARED, r, 0));
  WORKS(mmap(0, P, PROT_READ | PROT_WRITE, MAP_PRIVATE, r, 0));
  int w = open("/tmp/mapped", O_WRONLY);
  SHOW(mmap(0, P, PROT_READ, MAP_PRIVATE, w, 0));
  unlink("/tmp/mapped");
  // A hole is seen where it is mapped.
  int hole = memfd_create("m", MFD_ALLOW_SEALING);
  ftruncate(hole, 3 * P);
  s = mmap(0, 3 * P, PROT_READ | PROT_WRITE, MAP_SHARED, hole, 0);
  memset(s, 'a', 3 * P);
  SHOW(fallocate(hole, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, P, P));
  IS(s[P - 1] == 'a' && s[P] == 0 && s[2 * P] == 'a');
  s[P] = 'b';
  pread(hole, b, 1, P);
  IS(b[0] == 'b');
  SHOW(fcntl(hole, F_ADD_SEALS, F_SEAL_WRITE));
  munmap(s, 3 * P);
  SHOW(fcntl(hole, F_ADD_SEALS, F_SEAL_WRITE));
  SHOW(fcntl(hole, F_GET_SEALS));
  s = mmap(0, P, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  s[0] = 'a';
  if (fork() == 0) {
    madvise(s, P, MADV_REMOVE);
    _exit(s[0]);
  }
  int gone;
  wait(&gone);
  IS(WEXITSTATUS(gone) == 0 && s[0] == 0);
  char *heap = sbrk(0);
  SHOW(sbrk(3 * P) == heap);
  heap[3 * P - 1] = 1;
  SHOW(sbrk(-3 * P) == heap + 3 * P);
  SHOW(sbrk(1L << 47));
  // More than there could ever be.
  long huge = 1L << 44;
  int anonymous = MAP_PRIVATE | MAP_ANONYMOUS, rw = PROT_READ | PROT_WRITE;
  SHOW(mmap(0, huge, rw, anonymous, -1, 0));
  SHOW(mmap(0, huge, rw, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  WORKS(mmap(0, huge, rw, anonymous | MAP_NORESERVE, -1, 0));
  char *place = mmap(0, huge, PROT_NONE, anonymous, -1, 0);
  IS(place != MAP_FAILED);
  SHOW(mprotect(place, huge, rw));
  SHOW(mprotect(place, P, rw));
  IS(malloc(huge) == 0);
  // The stack grows.
  char deep[1 << 20];
  memset(deep, 1, sizeof deep);
  IS(deep[12345] == 1);
}
