// inode(7), chmod(2), chown(2), umask(2), access(2), faccessat2(2), link(2), path_resolution(7): who may do what, by which ids
#include "show.h"
#include <grp.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
static const char *mode(const char *path) {
  static char text[60];
  struct stat s;
  errno = 0;
  if (lstat(path, &s))
    return strerrorname_np(errno);
  sprintf(text, "%o %d:%d", s.st_mode, s.st_uid, s.st_gid);
  return text;
}
static void tell(const char *path) { printf("%s: %s\n", path, mode(path)); }
static int make(const char *path, int bits, int uid, int gid) {
  int f = open(path, O_CREAT | O_RDWR | O_TRUNC, 0600);
  fchown(f, uid, gid), fchmod(f, bits);
  return close(f);
}
static int folder(const char *path, int bits, int uid, int gid) { return mkdir(path, 0700) ?: chown(path, uid, gid) ?: chmod(path, bits); }
// In a child that is somebody else, in some other groups.
static void as(int uid, int gid, int group, void (*what)(void)) {
  fflush(stdout);
  pid_t id = fork();
  if (!id) {
    if (setgroups(group ? 1 : 0, &(gid_t){group}) | setgid(gid) | setuid(uid))
      puts("setuid failed");
    printf("-- as %d:%d+%d\n", uid, gid, group);
    what();
    fflush(stdout);
    _exit(0);
  }
  waitpid(id, 0, 0);
}
static void sticky(void) {
  SHOW(unlink("sticky/root"));
  SHOW(unlink("sticky/other"));
  SHOW(rename("sticky/root", "sticky/x"));
  SHOW(rename("sticky/root", "free/x"));
  SHOW(make("sticky/own", 0600, -1, -1));
  SHOW(rename("sticky/own", "sticky/root"));
  SHOW(rename("sticky/own", "sticky/second"));
  SHOW(rename("sticky/second", "free/own"));
  SHOW(link("sticky/shared", "sticky/again"));
  SHOW(unlink("sticky/again"));
  SHOW(rmdir("sticky/dir"));
  SHOW(rename("free/own", "sticky/other"));
  SHOW(unlink("free/root"));
  SHOW(unlink("free/own"));
  SHOW(unlink("own/root"));
  SHOW(open("sticky/shared", O_CREAT | O_RDWR, 0600) >= 0);
  SHOW(syscall(SYS_renameat2, AT_FDCWD, "sticky/other", AT_FDCWD, "sticky/shared", 2));
}
static void grouped(void) {
  umask(0);
  SHOW(make("setgid/f", 0755, -1, -1));
  tell("setgid/f");
  SHOW(mkdir("setgid/d", 0755)); tell("setgid/d");
  SHOW(mkdir("setgid/d/e", 0700)); tell("setgid/d/e");
  SHOW(open("setgid/s", O_CREAT | O_WRONLY, 02775) >= 0); tell("setgid/s");
  SHOW(open("setgid/t", O_CREAT | O_WRONLY, 02765) >= 0); tell("setgid/t");
  SHOW(mknod("setgid/p", S_IFIFO | 02777, 0)); tell("setgid/p");
  SHOW(symlink("x", "setgid/l")); tell("setgid/l");
  SHOW(mkdir("setgid/u", 06777)); tell("setgid/u");
  SHOW(chmod("setgid/f", 02755)); tell("setgid/f");
  SHOW(chmod("setgid/d", 02755)); tell("setgid/d");
  SHOW(chmod("setgid/d", 0755)); tell("setgid/d");
  SHOW(chmod("setgid", 0755));
}
static void changes(void) {
  SHOW(chmod("root", 0600));
  SHOW(chown("root", 7, -1));
  SHOW(chmod("mine", 06777)); tell("mine");
  SHOW(chown("mine", 8, -1));
  SHOW(chown("mine", -1, 77));
  SHOW(chown("mine", -1, 20)); tell("mine");
  SHOW(chmod("mine", 02775)); tell("mine");
  SHOW(chown("mine", 7, 8)); tell("mine");
  SHOW(chmod("mine", 04644)); tell("mine");
  SHOW(chown("mine", -1, -1)); tell("mine");
  SHOW(chown("mine", 7, -1)); tell("mine");
  SHOW(chmod("mine", 02644) ?: chown("mine", -1, 8)); tell("mine");
  SHOW(chmod("alien", 02755)); tell("alien");
  SHOW(truncate("root", 0));
  SHOW(utimensat(AT_FDCWD, "root", 0, 0));
  SHOW(utimensat(AT_FDCWD, "shared", 0, 0));
  SHOW(utimensat(AT_FDCWD, "shared", (struct timespec[]){{1, 0}, {2, 0}}, 0));
  SHOW(utimensat(AT_FDCWD, "shared", (struct timespec[]){{0, UTIME_NOW}, {0, UTIME_NOW}}, 0));
  SHOW(utimensat(AT_FDCWD, "shared", (struct timespec[]){{0, UTIME_NOW}, {0, UTIME_OMIT}}, 0));
  SHOW(utimensat(AT_FDCWD, "root", (struct timespec[]){{0, UTIME_OMIT}, {0, UTIME_OMIT}}, 0));
  SHOW(lchown("link", 7, -1));
}
static void writes(const char *path, int how) {
  char b[10] = "x";
  int f = open(path, how == 4 ? O_RDONLY : O_RDWR), p[2];
  switch (how) {
  case 0: write(f, b, 1); break;
  case 1: write(f, b, 0); break;
  case 2: ftruncate(f, 3); break;
  case 3: pwrite(f, b, 1, 5); break;
  case 4: read(f, b, 1); break;
  case 5: close(open(path, O_WRONLY | O_TRUNC)); break;
  case 6: fallocate(f, 0, 0, 100); break;
  case 7: ((char *)mmap(0, 4096, PROT_WRITE, MAP_SHARED, f, 0))[0] = 1; break;
  case 8: pipe(p), write(p[1], b, 1), splice(p[0], 0, f, 0, 1, 0); break;
  case 9: link(path, "linked"), unlink("linked"); break;
  case 10: ftruncate(f, 6); break;
  case 11: futimens(f, 0); break;
  case 12: fchmod(f, 06755); break;
  }
  close(f);
}
static void bits(void) {
  for (int how = 0; how < 13; how++) {
    printf("%d:", how);
    for (int i = 0; i < 4; i++) {
      char name[30];
      sprintf(name, "bits/%d.%d", how, i);
      writes(name, how);
      printf(" %s,", mode(name));
    }
    puts("");
  }
}
static void make_bits(int uid) {
  static const int modes[] = {06755, 06745, 02644, 04777};
  for (int how = 0; how < 13; how++)
    for (int i = 0; i < 4; i++) {
      char name[30];
      sprintf(name, "bits/%d.%d", how, i);
      make(name, 0600, uid, uid);
      int f = open(name, O_RDWR);
      write(f, "123456", 6), close(f);
      chmod(name, modes[i]);
    }
}
static void reaches(void) {
  static const char *const paths[] = {"root", "mine", "shared", "grouped", "execute", "none", "open/f", "closed/f", "listed/f", "passed/f", "passed/", "listed", "passed", "closed", "passed/none", "absent", "link", "dangling", "root/x"};
  for (unsigned i = 0; i < sizeof paths / sizeof *paths; i++) {
    printf("%s:", paths[i]);
    for (int m = 0; m < 5; m++)
      printf(" %s", access(paths[i], m < 4 ? (int[]){F_OK, R_OK, W_OK, X_OK}[m] : R_OK | W_OK | X_OK) ? strerrorname_np(errno) : "ok");
    for (int m = 0; m < 3; m++)
      printf(" %s", faccessat(AT_FDCWD, paths[i], (int[]){R_OK, W_OK, X_OK}[m], AT_EACCESS) ? strerrorname_np(errno) : "ok");
    int f = open(paths[i], O_RDONLY), g = open(paths[i], O_WRONLY);
    printf(" open %s", f < 0 ? "no" : "yes");
    printf(" write %s\n", g < 0 ? "no" : "yes");
    close(f), close(g);
  }
  SHOW(access("root", 8));
  SHOW(access((char *)8, F_OK));
  SHOW(access("", F_OK));
  SHOW(faccessat(AT_FDCWD, "dangling", F_OK, AT_SYMLINK_NOFOLLOW));
  SHOW(syscall(439, AT_FDCWD, "dangling", F_OK, AT_SYMLINK_NOFOLLOW));
  SHOW(syscall(439, AT_FDCWD, "root", F_OK, 0x8000));
  SHOW(syscall(439, open("open", O_PATH), "", R_OK, AT_EMPTY_PATH));
  SHOW(chdir("closed"));
  SHOW(chdir("listed"));
  SHOW(chdir("passed") ?: chdir(".."));
  SHOW(link("root", "free/hard"));
  SHOW(link("mine", "closed/hard"));
  SHOW(symlink("a", "closed/soft"));
  SHOW(mkdir("listed/d", 0700));
  SHOW(readlink("closed/l", (char[9]){0}, 9));
  SHOW(rename("open/f", "closed/g"));
  SHOW(mknod("free/null", S_IFCHR | 0666, 0x103));
  SHOW(mknod("free/fifo", S_IFIFO | 0666, 0));
  SHOW(chroot("open"));
}
// Real and effective ids differ.
static void mixed(void) {
  setresgid(20, 8, 0), setresuid(7, 0, 0);
  SHOW(access("root", R_OK));
  SHOW(faccessat(AT_FDCWD, "root", R_OK, AT_EACCESS));
  SHOW(access("mine", W_OK));
  setresuid(0, 7, 0);
  SHOW(access("root", R_OK));
  SHOW(faccessat(AT_FDCWD, "root", R_OK, AT_EACCESS));
  SHOW(open("root", O_RDONLY));
  SHOW(open("grouped", O_RDONLY));
  SHOW(setfsuid(9) * 100 + setfsuid(-1));
  SHOW(open("mine", O_RDONLY));
  SHOW(setfsuid(7));
  SHOW(setfsgid(20) * 100 + setfsgid(-1));
  SHOW(open("grouped", O_RDONLY) >= 0);
  SHOW(make("open/made", 0644, -1, -1)); tell("open/made");
  seteuid(0);
  SHOW(setfsuid(-1));
}
int main(void) {
  system("rm -rf /tmp/perms; mkdir /tmp/perms");
  chmod("/tmp/perms", 0755), chdir("/tmp/perms"), umask(0);
  folder("sticky", 01777, 0, 0), folder("free", 0777, 0, 0), folder("own", 01755, 7, 8), folder("sticky/dir", 0777, 0, 0);
  make("sticky/root", 0666, 0, 0), make("sticky/other", 0666, 9, 9), make("sticky/shared", 0666, 9, 9), make("free/root", 0600, 0, 0), make("own/root", 0600, 0, 0);
  as(7, 8, 0, sticky);
  as(0, 0, 0, sticky);
  // A folder that gives its group on.
  folder("setgid", 02777, 0, 20);
  as(7, 8, 0, grouped);
  system("rm -rf setgid/*");
  as(7, 8, 20, grouped);
  system("rm -rf setgid/*");
  as(0, 0, 0, grouped);
  make("root", 0600, 0, 0), make("mine", 0640, 7, 8), make("shared", 0666, 9, 9), make("alien", 0644, 7, 99), symlink("root", "link"), symlink("absent", "dangling");
  as(7, 8, 20, changes);
  chown("mine", 7, 8), chmod("mine", 06755), chown("mine", 7, 8);
  tell("mine");
  folder("bits", 0777, 0, 0);
  make_bits(7), as(7, 7, 0, bits);
  make_bits(7), chmod("bits", 0777);
  for (int i = 0; i < 13; i++)
    for (int j = 0; j < 4; j++) {
      char name[30];
      sprintf(name, "bits/%d.%d", i, j);
      struct stat s;
      stat(name, &s), chmod(name, s.st_mode | 0006);
    }
  as(9, 9, 0, bits);
  make_bits(7), as(0, 0, 0, bits);
  make("mine", 0640, 7, 8), make("grouped", 0040, 0, 20), make("execute", 0711, 0, 0), make("none", 0, 7, 8);
  folder("open", 0755, 0, 0), folder("closed", 0700, 0, 0), folder("listed", 0744, 0, 0), folder("passed", 0711, 0, 0);
  for (const char *const *p = (const char *const[]){"open/f", "closed/f", "listed/f", "passed/f", 0}; *p; p++)
    make(*p, 0644, 0, 0);
  symlink("x", "closed/l");
  as(7, 8, 0, reaches);
  as(9, 8, 20, reaches);
  chmod("open", 0777);
  as(0, 0, 0, mixed);
  // The mask.
  for (int m = 0; m < 4; m++) {
    printf("mask %o: ", umask((int[]){0, 022, 0777, 07777}[m]));
    unlink("masked"), rmdir("masked.d"), unlink("masked.p");
    close(open("masked", O_CREAT | O_WRONLY, 07777)), mkdir("masked.d", 07777), mkfifo("masked.p", 0777);
    printf("%s ", mode("masked"));
    printf("%s ", mode("masked.d"));
    printf("%s\n", mode("masked.p"));
  }
  umask(022);
  SHOW(chmod("open", 01777)); tell("open");
  SHOW(chmod("root", 01644)); tell("root");
  SHOW(chmod("root", 0100000)); tell("root");
  SHOW(chmod("link", 0640)); tell("root"); tell("link");
  SHOW(fchmodat(AT_FDCWD, "link", 0600, AT_SYMLINK_NOFOLLOW));
  SHOW(lchown("link", 5, 6)); tell("link"); tell("root");
  SHOW(chown("link", 5, 6)); tell("root");
  SHOW(chown("dangling", 5, 6));
  SHOW(fchown(open("root", O_PATH), 1, 1));
  SHOW(fchmod(open("root", O_PATH), 0));
  SHOW(syscall(SYS_fchownat, open("root", O_PATH), "", 1, 2, AT_EMPTY_PATH)); tell("root");
  SHOW(syscall(SYS_fchownat, AT_FDCWD, "link", 3, 4, AT_SYMLINK_NOFOLLOW)); tell("link");
}
