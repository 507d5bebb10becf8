// openat2(2), open(2), linkat(2), renameat2(2), statx(2), utimensat(2), faccessat2(2), fchmodat2(2), chroot(2), umask(2), inode(7)
#include "show.h"
#include <grp.h>
#include <linux/openat2.h>
#include <sys/fsuid.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
static int mode(const char *p) {
  struct stat s;
  return lstat(p, &s) ? -1 : (int)s.st_mode;
}
static int owner(const char *p) {
  struct stat s;
  return lstat(p, &s) ? -1 : (int)(s.st_uid * 100 + s.st_gid);
}
static int as(int user, int (*what)(void)) {
  fflush(stdout);
  pid_t id = fork();
  if (!id) {
    setgroups(0, 0), setgid(user), setuid(user);
    int result = what();
    fflush(stdout);
    _exit(result);
  }
  int status;
  waitpid(id, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}
static int o2(int at, const char *path, long flags, int m, long resolve) {
  struct open_how how = {.flags = flags, .mode = m, .resolve = resolve};
  int fd = syscall(SYS_openat2, at, path, &how, sizeof how);
  if (fd >= 0)
    close(fd);
  return fd < 0 ? -1 : 0;
}
static int shut(int fd) { return fd < 0 ? -1 : close(fd); }
static char b[5000];
static int other(void) {
  struct stat s;
  SHOW(shut(open("open/rw", O_RDWR)));
  SHOW(unlink("sticky/roots"));
  SHOW(rename("sticky/roots", "sticky/mine"));
  SHOW(shut(open("sticky/own", O_CREAT | O_RDWR, 0666)));
  SHOW(rename("sticky/own", "sticky/roots"));
  SHOW(rename("sticky/own", "open/own"));
  SHOW(renameat2(AT_FDCWD, "open/own", AT_FDCWD, "sticky/roots", RENAME_EXCHANGE));
  SHOW(rmdir("sticky/dir"));
  SHOW(unlink("open/rw"));
  SHOW(mkdir("setgid/sub", 0755) ?: mode("setgid/sub"));
  SHOW(owner("setgid/sub"));
  SHOW(shut(open("setgid/file", O_CREAT | O_RDWR, 02775)) ?: mode("setgid/file"));
  SHOW(owner("setgid/file"));
  SHOW(chmod("setgid/file", 02755) ?: mode("setgid/file"));
  SHOW(chmod("open/own", 06755) ?: mode("open/own"));
  SHOW(chown("open/own", -1, 5));
  SHOW(chown("open/own", 7, 7) ?: mode("open/own"));
  SHOW(chown("open/own", 7, -1) ?: mode("open/own"));
  SHOW(chmod("open/own", 06755) ?: mode("open/own"));
  SHOW(truncate("open/own", 5) ?: mode("open/own"));
  SHOW(chmod("open/own", 06755) ?: mode("open/own"));
  int f = open("open/own", O_RDWR);
  SHOW(write(f, "x", 1));
  SHOW(mode("open/own"));
  SHOW(chmod("open/own", 06745) ?: mode("open/own"));
  SHOW(pwrite(f, "x", 1, 0));
  SHOW(mode("open/own"));
  SHOW(chmod("open/own", 0));
  SHOW(read(f, b, 1));
  SHOW(shut(open("open/own", O_RDONLY)));
  SHOW(access("open/own", F_OK));
  SHOW(access("open/own", R_OK));
  SHOW(execl("open/own", "x", (char *)0));
  SHOW(fchmod(f, 0600));
  SHOW(shut(open("search/x", O_RDONLY)));
  SHOW(shut(open("search", O_RDONLY)));
  SHOW(shut(open("list", O_RDONLY)));
  SHOW(stat("list/x", &s));
  SHOW(shut(open("list/none", O_RDONLY)));
  SHOW(chdir("list"));
  SHOW(shut(open("group", O_RDONLY)));
  SHOW(utimensat(AT_FDCWD, "open/all", 0, 0));
  struct timespec t[2] = {{1, 0}, {2, 0}}, now[2] = {{0, UTIME_NOW}, {0, UTIME_NOW}}, omit[2] = {{0, UTIME_OMIT}, {0, UTIME_OMIT}}, half[2] = {{0, UTIME_NOW}, {0, UTIME_OMIT}};
  SHOW(utimensat(AT_FDCWD, "open/all", t, 0));
  SHOW(utimensat(AT_FDCWD, "open/all", now, 0));
  SHOW(utimensat(AT_FDCWD, "open/all", omit, 0));
  SHOW(utimensat(AT_FDCWD, "open/all", half, 0));
  SHOW(utimensat(AT_FDCWD, "group", now, 0));
  SHOW(link("group", "open/hard"));
  SHOW(link("open/all", "open/hard"));
  SHOW(symlink("x", "list/y"));
  SHOW(mknod("open/node", S_IFCHR | 0600, makedev(1, 3)));
  SHOW(mknod("open/fifo", S_IFIFO | 0600, 0));
  SHOW(chroot("open"));
  SHOW(shut(open("open/all", O_RDONLY | O_NOATIME)));
  SHOW(linkat(f, "", AT_FDCWD, "open/by-fd", AT_EMPTY_PATH));
  SHOW(fchown(f, 0, 0));
  SHOW(setfsuid(0) ?: setfsuid(-1));
  return 0;
}
static int mixed(void) {
  SHOW(access("secret", R_OK));
  SHOW(faccessat(AT_FDCWD, "secret", R_OK, AT_EACCESS));
  SHOW(shut(open("secret", O_RDONLY)));
  SHOW(syscall(SYS_faccessat2, AT_FDCWD, "secret", R_OK, AT_EACCESS));
  SHOW(syscall(SYS_faccessat2, AT_FDCWD, "secret", 9, AT_EACCESS));
  SHOW(syscall(SYS_faccessat2, AT_FDCWD, "secret", R_OK, AT_SYMLINK_FOLLOW));
  return 0;
}
static int effective(void) {
  setresuid(0, 5, 0);
  SHOW(access("secret", R_OK));
  SHOW(faccessat(AT_FDCWD, "secret", R_OK, AT_EACCESS));
  SHOW(shut(open("secret", O_RDONLY)));
  SHOW(shut(open("open/eff", O_CREAT | O_WRONLY, 0600)) ?: owner("open/eff"));
  setresuid(0, 0, 0);
  setfsuid(5), setfsgid(6);
  SHOW(shut(open("secret", O_RDONLY)));
  SHOW(shut(open("open/fs", O_CREAT | O_WRONLY, 0600)) ?: owner("open/fs"));
  SHOW(chmod("secret", 0600));
  SHOW(kill(1, 0));
  setfsuid(0);
  SHOW(shut(open("secret", O_RDONLY)));
  return mixed();
}
static int rooted(void) {
  int up = open(".", O_RDONLY);
  SHOW(chroot("none"));
  SHOW(chroot("secret"));
  SHOW(chroot("jail"));
  SHOW(shut(open("/inside", O_RDONLY)));
  SHOW(shut(open("/tmp", O_RDONLY)));
  SHOW(chdir("/") ?: shut(open("../../inside", O_RDONLY)));
  SHOW(readlink("/absolute", b, 100));
  SHOW(shut(open("/absolute", O_RDONLY)));
  SHOW(shut(openat(up, "secret", O_RDONLY)));
  memset(b, 0, 100);
  SHOW(syscall(SYS_getcwd, b, 100));
  puts(b);
  return 0;
}
int main(void) {
  struct stat s;
  struct statx x;
  umask(0);
  system("rm -rf /tmp/opens; mkdir /tmp/opens; chmod 755 /tmp/opens");
  chdir("/tmp/opens");
  mkdir("d", 0755), mkdir("d/e", 0755), close(open("d/f", O_CREAT | O_WRONLY, 0644));
  symlink("f", "d/l"), symlink("/tmp/opens/d/f", "d/abs"), symlink("../secret", "d/up"), symlink("/f", "d/rooted"), symlink("e", "d/le"), symlink("/proc/self/exe", "d/magic"), symlink("/", "d/slash");
  close(open("secret", O_CREAT | O_WRONLY, 0600));
  int d = open("d", O_RDONLY), p = open("d/f", O_PATH);
  // openat2(2)
#define O2(path, flags, resolve) SHOW(o2(d, path, flags, 0, resolve))
  O2("f", 0, RESOLVE_BENEATH);
  O2("l", 0, RESOLVE_BENEATH);
  O2("abs", 0, RESOLVE_BENEATH);
  O2("up", 0, RESOLVE_BENEATH);
  O2("e/..", 0, RESOLVE_BENEATH);
  O2("e/../..", 0, RESOLVE_BENEATH);
  O2("e/../../d/f", 0, RESOLVE_BENEATH);
  O2("magic", 0, RESOLVE_BENEATH);
  O2(".", 0, RESOLVE_BENEATH);
  O2("..", 0, RESOLVE_BENEATH);
  O2("abs", 0, RESOLVE_IN_ROOT);
  O2("rooted", 0, RESOLVE_IN_ROOT);
  O2("up", 0, RESOLVE_IN_ROOT);
  O2("../../f", 0, RESOLVE_IN_ROOT);
  O2("slash/f", 0, RESOLVE_IN_ROOT);
  O2("/e/../f", 0, RESOLVE_IN_ROOT);
  O2("l", 0, RESOLVE_NO_SYMLINKS);
  O2("le/..", 0, RESOLVE_NO_SYMLINKS);
  O2("l", O_PATH | O_NOFOLLOW, RESOLVE_NO_SYMLINKS);
  O2("l", O_NOFOLLOW, RESOLVE_NO_SYMLINKS);
  O2("magic", 0, RESOLVE_NO_MAGICLINKS);
  O2("magic", O_PATH | O_NOFOLLOW, RESOLVE_NO_MAGICLINKS);
  O2("/proc/self/fd/0", 0, RESOLVE_NO_MAGICLINKS);
  O2("/proc/self/fd/0", O_PATH | O_NOFOLLOW, RESOLVE_NO_MAGICLINKS);
  O2("/proc/self", 0, RESOLVE_NO_MAGICLINKS);
  O2("/proc/self/stat", 0, RESOLVE_NO_SYMLINKS);
  O2("/proc/1/stat", 0, RESOLVE_NO_XDEV);
  O2("f", 0, RESOLVE_NO_XDEV);
  O2("f", 0, RESOLVE_BENEATH | RESOLVE_IN_ROOT);
  O2("f", 0, RESOLVE_CACHED);
  O2("f", O_CREAT, 0);
  SHOW(o2(d, "f", O_CREAT, 010000, 0));
  SHOW(o2(d, "f", 0, 0600, 0));
  SHOW(o2(d, "g", O_CREAT | O_WRONLY, 07777, 0) ?: mode("d/g"));
  O2("f", O_PATH | O_RDWR, 0);
  O2("f", O_PATH | O_CREAT, 0);
  O2("f", O_PATH | O_CLOEXEC, 0);
  O2("f", O_RDWR | O_WRONLY, 0);
  O2("e", O_DIRECTORY | O_CREAT, 0);
  O2(".", O_TMPFILE, 0);
  O2(".", O_TMPFILE | O_RDWR, 0);
  O2(".", (O_TMPFILE & ~O_DIRECTORY) | O_RDWR, 0);
  O2("", 0, 0);
  SHOW(o2(d, (char *)8, 0, 0, 0));
  SHOW(syscall(SYS_openat2, d, "f", 8, sizeof(struct open_how)));
  SHOW(syscall(SYS_openat2, d, "f", &(struct open_how){0}, 0));
  // Access modes.
  int three = open("d/f", 3);
  SHOW(read(three, b, 1));
  SHOW(write(three, b, 1));
  SHOW(fcntl(three, F_GETFL) & 3);
  SHOW(shut(open("d/f", O_RDONLY | O_TRUNC)));
  SHOW(shut(open("d/e", O_RDONLY | O_TRUNC)));
  SHOW(shut(open("d/f", O_RDONLY | O_CREAT | O_DIRECTORY, 0600)));
  SHOW(shut(open("d/none", O_RDONLY | O_CREAT | O_DIRECTORY, 0600)));
  SHOW(shut(open("d/f", O_RDONLY | O_DIRECT)) == 0 || errno == EINVAL);
  // Files without a name.
  int t = open("d", O_TMPFILE | O_RDWR, 0640), te = open("d", O_TMPFILE | O_RDWR | O_EXCL, 0640);
  SHOW(fstat(t, &s) ?: s.st_nlink);
  SHOW(s.st_mode);
  SHOW(write(t, "text", 4));
  sprintf(b, "/proc/self/fd/%d", t);
  SHOW(linkat(AT_FDCWD, b, AT_FDCWD, "d/linked", AT_SYMLINK_FOLLOW));
  SHOW(fstat(t, &s) ?: s.st_nlink);
  SHOW(linkat(t, "", AT_FDCWD, "d/linked", AT_EMPTY_PATH));
  SHOW(linkat(t, "", AT_FDCWD, "d/linked2", AT_EMPTY_PATH));
  SHOW(linkat(te, "", AT_FDCWD, "d/linked3", AT_EMPTY_PATH));
  SHOW(linkat(p, "", AT_FDCWD, "d/linked4", AT_EMPTY_PATH));
  SHOW(linkat(d, "", AT_FDCWD, "d/linked5", AT_EMPTY_PATH));
  SHOW(linkat(AT_FDCWD, "", AT_FDCWD, "d/linked5", AT_EMPTY_PATH));
  SHOW(unlink("d/linked") ?: unlink("d/linked2") ?: fstat(t, &s) ?: s.st_nlink);
  SHOW(linkat(t, "", AT_FDCWD, "d/linked", AT_EMPTY_PATH));
  SHOW(shut(open("d/f", O_TMPFILE | O_RDWR, 0600)));
  SHOW(shut(open("d/none", O_TMPFILE | O_RDWR, 0600)));
  int q[2];
  pipe(q);
  SHOW(linkat(999, "", AT_FDCWD, "d/pipe", AT_EMPTY_PATH));
  // renameat2(2)
  SHOW(renameat2(AT_FDCWD, "d/f", AT_FDCWD, "d/e/f", RENAME_NOREPLACE));
  SHOW(renameat2(AT_FDCWD, "d/e/f", AT_FDCWD, "d/f", RENAME_NOREPLACE));
  SHOW(renameat2(AT_FDCWD, "d", AT_FDCWD, "d/e", RENAME_EXCHANGE));
  SHOW(renameat2(AT_FDCWD, "d/e", AT_FDCWD, "d", RENAME_EXCHANGE));
  SHOW(renameat2(AT_FDCWD, "d/l", AT_FDCWD, "d/e", RENAME_EXCHANGE));
  SHOW(mode("d/l"));
  SHOW(renameat2(AT_FDCWD, "d/l", AT_FDCWD, "d/e", RENAME_EXCHANGE));
  SHOW(renameat2(AT_FDCWD, "d/f", AT_FDCWD, "d/f", RENAME_EXCHANGE));
  SHOW(renameat2(AT_FDCWD, "d/f", AT_FDCWD, "d/f", RENAME_NOREPLACE));
  SHOW(renameat2(AT_FDCWD, "d/f", AT_FDCWD, "d/g/", RENAME_NOREPLACE));
  SHOW(renameat2(AT_FDCWD, "d/f", AT_FDCWD, "/dev/x", 0));
  SHOW(renameat2(AT_FDCWD, "d/f", AT_FDCWD, "/proc/x", 0));
  SHOW(renameat2(AT_FDCWD, "/proc/self/stat", AT_FDCWD, "d/x", 0));
  SHOW(link("/proc/self/stat", "d/x"));
  SHOW(renameat2(AT_FDCWD, "d/f", AT_FDCWD, "d/x", RENAME_WHITEOUT | RENAME_EXCHANGE));
  // statx(2)
  SHOW(statx(AT_FDCWD, "d/f", 0, 0, &x) ?: (long)(x.stx_mask & STATX_BASIC_STATS));
  SHOW(x.stx_nlink * 10 + x.stx_blksize / 4096);
  SHOW(x.stx_attributes);
  SHOW(statx(AT_FDCWD, "d/f", AT_STATX_FORCE_SYNC, STATX_SIZE, &x));
  SHOW(statx(AT_FDCWD, "d/f", AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_ALL, &x) ?: x.stx_uid);
  SHOW(statx(AT_FDCWD, "d/f", 0, STATX_TYPE, (void *)8));
  SHOW(statx(AT_FDCWD, (char *)8, 0, STATX_TYPE, &x));
  SHOW(statx(q[0], "", AT_EMPTY_PATH, STATX_TYPE, &x) ?: x.stx_mode);
  SHOW(statx(999, "", AT_EMPTY_PATH, STATX_TYPE, &x));
  SHOW(statx(d, "", 0, STATX_TYPE, &x));
  SHOW(fstatat(AT_FDCWD, "", &s, AT_EMPTY_PATH) ?: S_ISDIR(s.st_mode));
  // Times.
  struct timespec both[2] = {{5, 6}, {7, 8}}, first[2] = {{9, 1}, {0, UTIME_OMIT}}, now[2] = {{0, UTIME_OMIT}, {0, UTIME_NOW}}, minus[2] = {{0, -1}, {0, 0}};
  SHOW(utimensat(d, "f", both, 0) ?: stat("d/f", &s) ?: s.st_atim.tv_sec * 1000 + s.st_atim.tv_nsec * 100 + s.st_mtim.tv_sec * 10 + s.st_mtim.tv_nsec);
  SHOW(s.st_ctim.tv_sec > 1600000000);
  SHOW(utimensat(d, "f", first, 0) ?: stat("d/f", &s) ?: s.st_atim.tv_sec * 10 + s.st_mtim.tv_sec);
  SHOW(utimensat(d, "f", now, 0) ?: stat("d/f", &s) ?: s.st_atim.tv_sec * 10 + (s.st_mtim.tv_sec > 1600000000));
  SHOW(utimensat(d, "f", minus, 0));
  SHOW(utimensat(d, "", both, 0));
  SHOW(utimensat(p, "", both, AT_EMPTY_PATH) ?: stat("d/f", &s) ?: s.st_mtim.tv_sec);
  SHOW(utimensat(d, "f", (void *)8, 0));
  SHOW(syscall(SYS_utimensat, d, 0, both, AT_SYMLINK_NOFOLLOW));
  SHOW(syscall(SYS_utimensat, p, 0, both, 0));
  SHOW(syscall(SYS_utime, "d/f", (long[]){3, 4}) ?: stat("d/f", &s) ?: s.st_mtim.tv_sec);
  SHOW(syscall(SYS_futimesat, d, "f", &(struct timeval[2]){{1, 2}, {3, 4}}) ?: stat("d/f", &s) ?: s.st_mtim.tv_nsec);
  // What changes which time.
  struct timespec old[2] = {{100, 0}, {100, 0}};
#define TIMES(path, what)                                                                                                              \
  utimensat(AT_FDCWD, path, old, 0), what, stat(path, &s);                                                                             \
  printf("%s of %s: %d%d\n", #what, path, s.st_atim.tv_sec > 100, s.st_mtim.tv_sec > 100)
  int f = open("d/f", O_RDWR | O_TRUNC);
  TIMES("d/f", write(f, "x", 1));
  TIMES("d/f", pread(f, b, 1, 0));
  TIMES("d/f", pread(f, b, 0, 0));
  TIMES("d/f", write(f, "x", 0));
  TIMES("d/f", ftruncate(f, 2));
  TIMES("d/f", ftruncate(f, 5));
  TIMES("d/f", truncate("d/f", 5));
  TIMES("d/f", chmod("d/f", 0644));
  TIMES("d/f", shut(open("d/f", O_WRONLY | O_TRUNC)));
  TIMES("d/f", link("d/f", "d/h"));
  TIMES("d", unlink("d/h"));
  TIMES("d", mkdir("d/new", 0700));
  TIMES("d", rename("d/new", "d/newer"));
  TIMES("d", chmod("d/newer", 0755));
  TIMES("d/newer", rename("d/newer", "d/newer"));
  TIMES("d/newer", rename("d/newer", "d/e/newer") ?: rename("d/e/newer", "d/newer"));
  TIMES("d", syscall(SYS_getdents64, open("d", O_RDONLY), b, 5000));
  TIMES("d", mkdir("d/e", 0700));
  TIMES("d/f", fallocate(f, 0, 0, 100));
  TIMES("d/f", fallocate(f, FALLOC_FL_KEEP_SIZE, 0, 200));
  TIMES("d/f", copy_file_range(f, &(loff_t){0}, f, &(loff_t){100}, 10, 0));
  // Access.
  mkdir("open", 0777);
  SHOW(as(0, effective));
  mkdir("sticky", 01777), mkdir("setgid", 02777), chown("setgid", 0, 33), chmod("setgid", 02777), mkdir("sticky/dir", 0777);
  close(open("open/rw", O_CREAT | O_WRONLY, 0644)), close(open("open/all", O_CREAT | O_WRONLY, 0666)), close(open("sticky/roots", O_CREAT | O_WRONLY, 0666));
  mkdir("search", 0711), close(open("search/x", O_CREAT | O_WRONLY, 0644)), mkdir("list", 0744), close(open("list/x", O_CREAT | O_WRONLY, 0644));
  close(open("group", O_CREAT | O_WRONLY, 0604)), chown("group", 0, 7);
  SHOW(as(7, other));
  mkdir("jail", 0755), close(open("jail/inside", O_CREAT | O_WRONLY, 0644)), symlink("/inside", "jail/absolute");
  SHOW(as(0, rooted));
  // Modes that umask leaves.
  umask(0777);
  SHOW(shut(open("masked", O_CREAT | O_WRONLY, 0666)) ?: mode("masked"));
  SHOW(mkdir("masked.d", 07777) ?: mode("masked.d"));
  SHOW(mkfifo("masked.f", 0666) ?: mode("masked.f"));
  SHOW(symlink("x", "masked.l") ?: mode("masked.l"));
  umask(022);
  SHOW(mkdir("setgid/below", 0777) ?: mode("setgid/below"));
  SHOW(mknod("null", S_IFCHR | 0666, makedev(1, 3)) ?: stat("null", &s) ?: (int)s.st_rdev);
  int null = open("null", O_RDWR);
  SHOW(write(null, "x", 1));
  SHOW(mknod("nodev", S_IFCHR | 0666, makedev(77, 3)));
  SHOW(shut(open("nodev", O_RDWR)));
  SHOW(mknod("block", S_IFBLK | 0666, makedev(77, 3)));
  SHOW(shut(open("block", O_RDWR)));
  SHOW(shut(open("block", O_PATH)));
  // Long paths.
  char *path = malloc(5000);
  for (int i = 0; i < 4999; i++)
    path[i] = i % 2 ? '.' : '/';
  path[4094] = 0;
  SHOW(shut(open(path, O_RDONLY)));
  path[4094] = '/', path[4095] = 0;
  SHOW(shut(open(path, O_RDONLY)));
  path[4095] = '.', path[4096] = 0;
  SHOW(shut(open(path, O_RDONLY)));
  for (int i = 0; i < 41; i++) {
    char name[30], to[30];
    sprintf(name, "chain%d", i), sprintf(to, i ? "chain%d" : "secret", i - 1);
    symlink(to, name);
  }
  SHOW(shut(open("chain39", O_RDONLY)));
  SHOW(shut(open("chain40", O_RDONLY)));
  SHOW(stat("chain40", &s));
  SHOW(chdir("/proc/self/fd") ?: shut(open("0", O_RDONLY)));
}
