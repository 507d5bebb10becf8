// getdents64(2), readdir(3), seekdir(3), telldir(3), rewinddir(3): folders while names come and go
#include "show.h"
#include <dirent.h>
static void make(const char *name) { close(open(name, O_CREAT | O_WRONLY, 0600)); }
static char buffer[70000];
struct entry {
  uint64_t inode;
  int64_t next;
  unsigned short length;
  unsigned char kind;
  char name[];
};
static int compare(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }
// The names of a folder in their order by name, each with its kind and whether its number is that of stat(2).
static void list(const char *path) {
  DIR *d = opendir(path);
  static char *names[3000], lines[3000][300];
  int n = 0;
  for (struct dirent *e; (e = readdir(d)); n++) {
    char at[600];
    struct stat s;
    snprintf(at, sizeof at, "%s/%s", path, e->d_name);
    int there = lstat(at, &s) == 0;
    snprintf(lines[n], 300, "%s/%d%s", e->d_name, e->d_type, !strcmp(e->d_name, "..") || (there && s.st_ino == e->d_ino) ? "" : "!");
    names[n] = lines[n];
  }
  closedir(d);
  qsort(names, n, sizeof *names, compare);
  printf("%s: %d:", path, n);
  for (int i = 0; i < n && i < 12; i++)
    printf(" %s", names[i]);
  puts("");
}
static int all(int fd, int size) {
  int n = 0, got;
  while ((got = syscall(SYS_getdents64, fd, buffer, size)) > 0)
    for (char *at = buffer; at < buffer + got; at += ((struct entry *)at)->length)
      n++;
  return got < 0 ? -errno : n;
}
static int has(DIR *d, const char *name) {
  int n = 0;
  for (struct dirent *e; (e = readdir(d));)
    n += !strcmp(e->d_name, name);
  return n;
}
int main(void) {
  system("rm -rf /tmp/dents; mkdir /tmp/dents");
  chdir("/tmp/dents");
  list(".");
  make("file"), mkdir("folder", 0700), symlink("file", "link"), mkfifo("fifo", 0600);
  int s = socket(AF_UNIX, SOCK_STREAM, 0);
  bind(s, (void *)&(struct sockaddr_un){.sun_family = AF_UNIX, .sun_path = "socket"}, sizeof(struct sockaddr_un));
  mknod("null", S_IFCHR | 0600, 0x103);
  list(".");
  // Errors and sizes.
  int d = open(".", O_RDONLY), f = open("file", O_RDONLY), path = open(".", O_PATH), p[2];
  pipe(p);
#define DENTS(fd, to, n) SHOW(syscall(SYS_getdents64, fd, to, n))
  DENTS(99, buffer, 1000);
  DENTS(f, buffer, 1000);
  DENTS(p[0], buffer, 1000);
  DENTS(path, buffer, 1000);
  DENTS(d, buffer, 0);
  DENTS(d, buffer, 8);
  DENTS(d, buffer, 23);
  DENTS(d, (void *)8, 1000);
  SHOW(read(d, buffer, 10));
  SHOW(pread(d, buffer, 10, 0));
  SHOW(write(d, buffer, 10));
  SHOW(open(".", O_WRONLY));
  SHOW(open("folder", O_CREAT | O_RDONLY, 0600));
  SHOW(ftruncate(d, 0));
  // Whatever the room is, each comes once.
  for (int size = 24; size < 300; size += 37) {
    lseek(d, 0, SEEK_SET);
    printf("%d: %d\n", size, all(d, size));
  }
  SHOW(all(d, 1000));
  DENTS(d, buffer, 8);
  lseek(d, 0, SEEK_SET);
  int got = syscall(SYS_getdents64, d, buffer, 1000), ordered = 1, lengths = 1;
  int64_t last = 0;
  for (char *at = buffer; at < buffer + got; at += ((struct entry *)at)->length) {
    struct entry *e = (void *)at;
    ordered &= e->next != last, last = e->next;
    lengths &= e->length % 8 == 0 && e->length >= 19 + strlen(e->name) + 1 && e->length < 19 + strlen(e->name) + 1 + 8;
  }
  IS(ordered && lengths);
  IS(lseek(d, 0, SEEK_CUR) == last);
  struct entry *first = (void *)buffer;
  IS(!strcmp(first->name, ".") || !strcmp(first->name, ".."));
  // Each offset leads to the one that follows.
  int good = 1;
  static char copy[1000];
  memcpy(copy, buffer, got);
  for (char *at = copy; at < copy + got; at += ((struct entry *)at)->length) {
    struct entry *e = (void *)at, *after = (void *)(at + e->length);
    lseek(d, e->next, SEEK_SET);
    int n = syscall(SYS_getdents64, d, buffer, 1000);
    good &= at + e->length < copy + got ? n > 0 && !strcmp(((struct entry *)buffer)->name, after->name) : n == 0;
  }
  IS(good);
  SHOW(lseek(d, -1, SEEK_SET));
  SHOW(lseek(d, 0, SEEK_SET));
  int twin = dup(d);
  syscall(SYS_getdents64, d, buffer, 64);
  SHOW(all(d, 1000) + all(twin, 1000) < 8);
  // Many.
  mkdir("many", 0700), chdir("many");
  char name[50];
  for (int i = 0; i < 1000; i++)
    sprintf(name, "n%03d", i), make(name);
  DIR *m = opendir(".");
  long at[5];
  struct dirent *e;
  char seen[5][20];
  for (int i = 0; i < 500; i++) {
    if (i % 100 == 0)
      at[i / 100] = telldir(m);
    e = readdir(m);
    if (i % 100 == 0)
      strcpy(seen[i / 100], e->d_name);
  }
  for (int i = 4; i >= 0; i--) {
    seekdir(m, at[i]);
    e = readdir(m);
    IS(!strcmp(e->d_name, seen[i]) && telldir(m) != at[i]);
  }
  rewinddir(m);
  int n = 0;
  while (readdir(m))
    n++;
  SHOW(n);
  SHOW(readdir(m) != 0);
  // Those that go while one looks are not seen after, and no other is lost.
  rewinddir(m);
  int odd = 0, even = 0;
  for (n = 0; (e = readdir(m)); n++) {
    if (e->d_name[0] != 'n')
      continue;
    int number = atoi(e->d_name + 1);
    if (number % 2 == 0)
      even++, unlink(e->d_name);
    else
      odd++;
  }
  printf("odd %d even %d\n", odd, even);
  rewinddir(m);
  for (n = 0; readdir(m); n++)
    ;
  SHOW(n);
  // What was there before and after is seen once, whatever comes in between.
  rewinddir(m);
  odd = n = 0;
  while ((e = readdir(m))) {
    if (e->d_name[0] == 'n')
      odd++;
    if (n < 300 && e->d_name[0] == 'n')
      sprintf(name, "x%03d", n++), make(name);
  }
  SHOW(odd);
  rewinddir(m);
  for (n = 0; (e = readdir(m));)
    n += e->d_name[0] == 'x';
  SHOW(n);
  // A name that is renamed while one looks is seen at most twice, and others once.
  rewinddir(m);
  readdir(m), readdir(m), readdir(m);
  rename("x000", "y000");
  for (n = 0; (e = readdir(m));)
    n += e->d_name[0] == 'y' || !strcmp(e->d_name, "x000");
  IS(n <= 2);
  rewinddir(m);
  SHOW(has(m, "y000"));
  make("later");
  rewinddir(m);
  SHOW(has(m, "later"));
  closedir(m);
  // A folder that is gone.
  mkdir("gone", 0700);
  m = opendir("gone"), d = open("gone", O_RDONLY);
  rmdir("gone");
  SHOW(readdir(m) != 0);
  SHOW(all(d, 1000));
  SHOW(lseek(d, 0, SEEK_CUR));
  struct stat st;
  SHOW(fstat(d, &st) ?: (long)st.st_nlink);
  SHOW(openat(d, "x", O_CREAT | O_WRONLY, 0600));
  SHOW(openat(d, ".", O_RDONLY) >= 0);
  SHOW(openat(d, "..", O_RDONLY) >= 0);
  SHOW(mkdirat(d, "x", 0700));
  SHOW(fchdir(d));
  SHOW(getcwd(buffer, 100) ? 0 : -1);
  SHOW(open("x", O_CREAT | O_WRONLY, 0600));
  chdir("/tmp/dents");
  // Links and times.
  SHOW(stat(".", &st) ?: (long)st.st_nlink);
  mkdir("a", 0700), mkdir("b", 0700);
  SHOW(stat(".", &st) ?: (long)st.st_nlink);
  rename("a", "b/a");
  SHOW(stat(".", &st) ?: (long)st.st_nlink);
  SHOW(stat("b", &st) ?: (long)st.st_nlink);
  SHOW(rmdir("b"));
  SHOW(rmdir("b/a") ?: rmdir("b"));
  SHOW(stat(".", &st) ?: (long)st.st_nlink);
  list("/proc/self/fdinfo");
  static char longest[300];
  memset(longest, 'l', 255);
  make(longest);
  m = opendir(".");
  SHOW(has(m, longest));
  closedir(m);
  // The old call.
  d = open(".", O_RDONLY);
  SHOW(syscall(SYS_getdents, d, buffer, 20));
  got = syscall(SYS_getdents, d, buffer, 3000);
  n = 0;
  for (char *x = buffer; x < buffer + got; x += *(unsigned short *)(x + 16))
    n += !strcmp(x + 18, "folder") ? x[*(unsigned short *)(x + 16) - 1] : 0;
  SHOW(n);
}
