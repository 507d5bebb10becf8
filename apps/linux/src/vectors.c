// preadv2(2), pwritev2(2), lseek(2), O_APPEND, ftruncate(2) under maps, copy_file_range(2), sendfile(2), getdents(2)
#include "show.h"
#include <dirent.h>
#include <sys/sendfile.h>
#ifndef RWF_HIPRI
#define RWF_HIPRI 1
#define RWF_DSYNC 2
#define RWF_SYNC 4
#define RWF_NOWAIT 8
#define RWF_APPEND 16
#endif
static long v2(int number, int fd, struct iovec *v, long n, long at, int flags) { return syscall(number, fd, v, n, at, 0, flags); }
int main(void) {
  char b[100] = "abcdefghij";
  system("rm -rf /tmp/vectors; mkdir /tmp/vectors");
  chdir("/tmp/vectors");
  int f = open("f", O_CREAT | O_RDWR, 0600), ap = open("f", O_RDWR | O_APPEND), p[2], m = memfd_create("m", 0);
  struct stat s;
  struct iovec v[2] = {{b, 5}, {b + 5, 5}};
  pipe2(p, O_NONBLOCK);
#define R(fd, n, at, flags) SHOW(v2(SYS_preadv2, fd, v, n, at, flags))
#define W(fd, n, at, flags) SHOW(v2(SYS_pwritev2, fd, v, n, at, flags))
  W(f, 2, 0, 0);
  W(f, 2, -1, 0);
  W(f, 2, -2, 0);
  W(f, 2, 0, RWF_SYNC);
  W(f, 2, 0, RWF_DSYNC | RWF_SYNC | RWF_HIPRI);
  W(f, 1, 0, RWF_APPEND);
  SHOW(lseek(f, 0, SEEK_CUR));
  W(f, 1, -1, RWF_APPEND);
  SHOW(lseek(f, 0, SEEK_CUR));
  W(f, 1, 0, 0x80);
  W(f, 0, 0, 0x80);
  R(f, 2, 0, RWF_NOWAIT);
  R(m, 2, 0, RWF_NOWAIT);
  R(f, 2, 0, RWF_HIPRI);
  R(f, 2, 0, RWF_APPEND);
  R(f, 2, 0, 0x40);
  R(f, 0, 0, 0);
  R(f, -1, 0, 0);
  R(p[0], 1, 0, 0);
  R(p[0], 1, -1, 0);
  R(p[0], 1, -1, RWF_NOWAIT);
  W(p[1], 1, -1, 0);
  W(p[1], 1, 5, 0);
  W(p[1], 1, -1, RWF_NOWAIT);
  R(p[0], 2, -1, RWF_NOWAIT);
  R(999, 2, -1, RWF_NOWAIT);
  // Who appends writes at the end wherever.
  SHOW(ftruncate(f, 10));
  SHOW(pwrite(ap, "x", 1, 0));
  SHOW(fstat(f, &s) ?: s.st_size);
  SHOW(lseek(ap, 0, SEEK_CUR));
  SHOW(lseek(ap, 3, SEEK_SET));
  SHOW(write(ap, "yz", 2));
  SHOW(lseek(ap, 0, SEEK_CUR));
  SHOW(read(ap, b, 5));
  SHOW(v2(SYS_pwritev2, ap, v, 1, 0, 0x20));
  SHOW(fcntl(ap, F_SETFL, 0));
  SHOW(pwrite(ap, "x", 1, 0));
  SHOW(fstat(f, &s) ?: s.st_size);
  // Holes.
  SHOW(ftruncate(m, 100000));
  SHOW(lseek(m, 0, SEEK_DATA));
  SHOW(lseek(m, 0, SEEK_HOLE));
  SHOW(lseek(m, 100000, SEEK_HOLE));
  SHOW(lseek(m, 99999, SEEK_HOLE));
  pwrite(m, "x", 1, 20000), pwrite(m, "x", 1, 50000);
  SHOW(lseek(m, 0, SEEK_DATA));
  SHOW(lseek(m, 16385, SEEK_DATA));
  SHOW(lseek(m, 16385, SEEK_HOLE));
  SHOW(lseek(m, 20480, SEEK_DATA));
  SHOW(lseek(m, 49152, SEEK_HOLE));
  SHOW(lseek(m, 53248, SEEK_DATA));
  SHOW(lseek(m, 0, SEEK_HOLE));
  SHOW(lseek(m, 0, SEEK_CUR));
  SHOW(fstat(m, &s) ?: s.st_blocks);
  SHOW(fallocate(m, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 16384, 4096) ?: lseek(m, 0, SEEK_DATA));
  SHOW(fallocate(m, FALLOC_FL_COLLAPSE_RANGE, 0, 4096));
  SHOW(fallocate(m, FALLOC_FL_INSERT_RANGE, 0, 4096));
  SHOW(lseek(m, 0, SEEK_HOLE));
  SHOW(lseek(m, 1L << 62, SEEK_SET) == 1L << 62);
  SHOW(lseek(m, 0x7fffffffffffffff, SEEK_SET) == 0x7fffffffffffffff);
  SHOW(write(m, "x", 1));
  SHOW(lseek(m, 1, SEEK_CUR));
  SHOW(pwrite(m, "x", 1, 0x7fffffffffffffff));
  SHOW(pread(m, b, 1, 0x7fffffffffffffff));
  SHOW(pread(m, b, 2, 0x7ffffffffffffffe));
  SHOW(ftruncate(m, 0x7fffffffffffffff));
  SHOW(fstat(m, &s) ?: s.st_size == 0x7fffffffffffffff);
  SHOW(ftruncate(m, 10));
  // The tail of a page that is cut is 0 when it comes back.
  SHOW(pwrite(m, "0123456789", 10, 0));
  SHOW(ftruncate(m, 5) ?: ftruncate(m, 10) ?: pread(m, b, 10, 0));
  IS(b[4] == '4' && !b[5] && !b[9]);
  char *map = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, m, 0);
  map[4000] = 'q';
  SHOW(map[4000]);
  SHOW(ftruncate(m, 4096) ?: pread(m, b, 1, 4000));
  SHOW(b[0]);
  map[2] = 'r';
  SHOW(pread(m, b, 3, 0) ?: b[2]);
  // Ranges of one file, and of two.
  int g = open("g", O_CREAT | O_RDWR, 0600);
  off_t at = 0, to = 0;
  SHOW(ftruncate(f, 0) ?: pwrite(f, "0123456789", 10, 0));
  SHOW(lseek(f, 4, SEEK_SET));
  SHOW(copy_file_range(f, 0, g, 0, 100, 0));
  SHOW(lseek(f, 0, SEEK_CUR) * 100 + lseek(g, 0, SEEK_CUR));
  SHOW(copy_file_range(f, 0, g, 0, 100, 0));
  at = 3, to = 50;
  SHOW(copy_file_range(f, &at, g, &to, 100, 0));
  SHOW(fstat(g, &s) ?: s.st_size);
  SHOW(copy_file_range(f, 0, ap, 0, 1, 0));
  SHOW(fcntl(ap, F_SETFL, O_APPEND));
  SHOW(copy_file_range(f, 0, ap, 0, 1, 0));
  at = -1;
  SHOW(copy_file_range(f, &at, g, 0, 1, 0));
  at = 0, to = 0x7fffffffffffffff;
  SHOW(copy_file_range(f, &at, g, &to, 10, 0));
  SHOW(copy_file_range(f, (void *)8, g, 0, 10, 0));
  SHOW(copy_file_range(f, 0, open(".", O_RDONLY), 0, 10, 0));
  SHOW(copy_file_range(f, 0, open("/dev/null", O_WRONLY), 0, 10, 0));
  SHOW(copy_file_range(open("/dev/zero", O_RDONLY), 0, g, 0, 10, 0));
  SHOW(copy_file_range(open("/proc/self/stat", O_RDONLY), 0, g, 0, 10, 0));
  at = 0;
  SHOW(sendfile(open("/dev/null", O_WRONLY), f, &at, 5) * 10 + at);
  SHOW(sendfile(g, f, 0, 0));
  SHOW(sendfile(p[1], f, 0, -1));
  SHOW(sendfile(p[0], f, 0, 1));
  at = 100;
  SHOW(sendfile(g, f, &at, 5));
  SHOW(sendfile(g, memfd_create("e", 0), 0, 100));
  // Folders.
  mkdir("d", 0700);
  int names = 0, d = open("d", O_RDONLY);
  for (int i = 0; i < 20; i++) {
    sprintf(b, "d/n%02d", i);
    close(open(b, O_CREAT | O_WRONLY, 0600));
  }
  char list[4096];
  SHOW(syscall(SYS_getdents64, d, list, 10));
  SHOW(syscall(SYS_getdents64, d, list, 0));
  SHOW(syscall(SYS_getdents64, d, 8, 4096));
  SHOW(syscall(SYS_getdents64, f, list, 4096));
  SHOW(syscall(SYS_getdents64, 999, list, 4096));
  SHOW(syscall(SYS_getdents64, open("d", O_PATH), list, 4096));
  int n = syscall(SYS_getdents64, d, list, 100), all = 0;
  IS(n > 0 && n <= 100);
  do {
    for (int i = 0; i < n; i += ((struct dirent *)(list + i))->d_reclen)
      names++;
    all += n;
  } while ((n = syscall(SYS_getdents64, d, list, 100)) > 0);
  SHOW(names);
  SHOW(all);
  SHOW(syscall(SYS_getdents64, d, list, 100));
  SHOW(lseek(d, 0, SEEK_SET));
  SHOW(syscall(SYS_getdents64, d, list, 4096) == all);
  SHOW(((struct dirent *)list)->d_type);
  SHOW(lseek(d, -1, SEEK_SET));
  SHOW(lseek(d, 0, 9));
  DIR *dir = opendir("d");
  for (int i = 0; i < 5; i++)
    readdir(dir);
  long place = telldir(dir);
  char was[300];
  strcpy(was, readdir(dir)->d_name);
  readdir(dir), readdir(dir);
  seekdir(dir, place);
  IS(!strcmp(was, readdir(dir)->d_name));
  // What is made and removed meanwhile.
  rewinddir(dir);
  int seen = 0, twice = 0;
  char have[100] = {0};
  for (struct dirent *e; (e = readdir(dir));) {
    seen++;
    int i = atoi(e->d_name + 1);
    if (e->d_name[0] == 'n' && have[i]++)
      twice++;
    char path[300];
    sprintf(path, "d/%s", e->d_name);
    if (e->d_name[0] == 'n')
      unlink(path);
  }
  SHOW(twice);
  SHOW(seen);
  SHOW(rmdir("d"));
  SHOW(syscall(SYS_getdents64, d, list, 4096));
  lseek(d, 0, SEEK_SET);
  SHOW(syscall(SYS_getdents64, d, list, 4096));
  SHOW(fstat(d, &s) ?: s.st_nlink);
}
