// shm_open(3), shmget(2), shmat(2), shmctl(2), memfd_create(2), mmap(2): memory that processes share
#include "show.h"
#include <sys/ipc.h>
#include <sys/shm.h>
#define P 4096L
static int dies(char *at, int write) {
  fflush(stdout);
  pid_t id = fork();
  if (!id) {
    if (write)
      *(volatile char *)at = 1;
    _exit(*(volatile char *)at);
  }
  int status;
  waitpid(id, &status, 0);
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}
static void posix(void) {
  // Where nobody has made it.
  mkdir("/dev/shm", 01777);
  shm_unlink("/one");
  SHOW(shm_open("/one", O_RDWR, 0));
  SHOW(shm_unlink("/one"));
  int f = shm_open("/one", O_CREAT | O_EXCL | O_RDWR, 0640);
  IS(f >= 0);
  SHOW(fcntl(f, F_GETFD));
  SHOW(shm_open("one", O_CREAT | O_EXCL | O_RDWR, 0640));
  SHOW(shm_open("/one/two", O_CREAT | O_RDWR, 0640));
  SHOW(shm_open("", O_CREAT | O_RDWR, 0640));
  struct stat s;
  SHOW(fstat(f, &s) ?: (long)s.st_size);
  printf("mode %o\n", s.st_mode);
  SHOW(ftruncate(f, 3 * P));
  char *m = mmap(0, 4 * P, PROT_READ | PROT_WRITE, MAP_SHARED, f, 0), *own = mmap(0, 3 * P, PROT_READ | PROT_WRITE, MAP_PRIVATE, f, 0);
  SHOW(dies(m, 1) * 10 + m[0]);
  SHOW(dies(own, 1) * 10 + own[0]);
  SHOW(dies(m + 3 * P, 0));
  int r = shm_open("/one", O_RDONLY, 0);
  SHOW(write(r, "x", 1));
  SHOW(mmap(0, P, PROT_WRITE, MAP_SHARED, r, 0));
  SHOW(pwrite(f, "abc", 3, P - 1) * 1000 + m[P]);
  m[2 * P] = 7, own[P] = 9;
  char b[4];
  SHOW(pread(r, b, 1, 2 * P) * 10 + b[0]);
  SHOW(pread(r, b, 1, P) * 1000 + b[0]);
  SHOW(ftruncate(f, P));
  SHOW(dies(m + 2 * P, 0));
  SHOW(dies(own + P, 0));
  SHOW(ftruncate(f, 3 * P));
  SHOW(m[2 * P]);
  SHOW(fstat(f, &s) ?: (long)s.st_blocks > 0);
  SHOW(shm_unlink("/one"));
  m[0] = 3;
  SHOW(fstat(f, &s) ?: (long)s.st_nlink);
  SHOW(shm_open("/one", O_RDWR, 0));
  SHOW(close(f) ?: m[0]);
  SHOW(msync(m, P, MS_SYNC));
}
static void sealed(void) {
  SHOW(memfd_create("x", 0x100));
  SHOW(memfd_create((char *)8, 0));
  char name[260];
  memset(name, 'n', 259), name[250] = 0;
  SHOW(memfd_create(name, 0));
  name[249] = 0;
  WORKS(memfd_create(name, 0));
  WORKS(memfd_create("a/b", MFD_CLOEXEC));
  int f = memfd_create("s", MFD_ALLOW_SEALING), plain = memfd_create("p", 0);
  struct stat s;
  fstat(f, &s);
  printf("mode %o links %d\n", s.st_mode, (int)s.st_nlink);
  SHOW(fcntl(plain, F_GET_SEALS));
  SHOW(fcntl(plain, F_ADD_SEALS, F_SEAL_SHRINK));
  SHOW(fcntl(f, F_GET_SEALS));
  ftruncate(f, 2 * P);
  char *m = mmap(0, 2 * P, PROT_READ | PROT_WRITE, MAP_SHARED, f, 0);
  SHOW(fcntl(f, F_ADD_SEALS, 0x100));
  SHOW(fcntl(f, F_ADD_SEALS, F_SEAL_SHRINK));
  SHOW(ftruncate(f, P));
  SHOW(ftruncate(f, 3 * P));
  SHOW(fcntl(f, F_ADD_SEALS, F_SEAL_GROW));
  SHOW(ftruncate(f, 4 * P));
  SHOW(pwrite(f, "xy", 2, 3 * P - 1));
  SHOW(pwrite(f, "xy", 2, 3 * P));
  SHOW(fallocate(f, 0, 0, 4 * P));
  SHOW(fallocate(f, 0, 0, 3 * P));
  SHOW(fcntl(f, F_ADD_SEALS, F_SEAL_WRITE));
  SHOW(fcntl(f, F_ADD_SEALS, F_SEAL_FUTURE_WRITE));
  SHOW(write(f, "x", 1));
  m[0] = 1;
  SHOW(mmap(0, P, PROT_WRITE, MAP_SHARED, f, 0));
  char *r = mmap(0, P, PROT_READ, MAP_SHARED, f, 0);
  SHOW(r[0]);
  SHOW(mprotect(r, P, PROT_READ | PROT_WRITE));
  WORKS(mmap(0, P, PROT_READ | PROT_WRITE, MAP_PRIVATE, f, 0));
  SHOW(fallocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, P));
  SHOW(fcntl(f, F_ADD_SEALS, F_SEAL_SEAL));
  SHOW(fcntl(f, F_ADD_SEALS, F_SEAL_WRITE));
  SHOW(fcntl(f, F_GET_SEALS));
  int again = open("/proc/self/fd/4", O_RDWR);
  (void)again;
  int g = memfd_create("w", MFD_ALLOW_SEALING);
  ftruncate(g, P);
  char line[50];
  sprintf(line, "/proc/self/fd/%d", g);
  int ro = open(line, O_RDONLY);
  SHOW(fcntl(ro, F_ADD_SEALS, F_SEAL_WRITE));
  r = mmap(0, P, PROT_READ, MAP_SHARED, ro, 0);
  SHOW(fcntl(g, F_ADD_SEALS, F_SEAL_WRITE));
  SHOW(mprotect(r, P, PROT_WRITE));
}
static void forks(void) {
  int *shared = mmap(0, 3 * P, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), *own = mmap(0, P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), status;
  fflush(stdout);
  // What nobody touched before is shared, too.
  for (int depth = 0; depth < 4; depth++) {
    pid_t id = fork();
    if (!id) {
      __sync_fetch_and_add(shared, 1), shared[1024]++, ++*own;
      continue;
    }
    waitpid(id, &status, 0);
    if (depth)
      _exit(*own);
    break;
  }
  if (!*own) {
    SHOW(*shared * 100 + shared[1024] * 10 + *own);
    SHOW(WEXITSTATUS(status));
  } else
    _exit(*own);
  // A part of it is let go, and the others still have it.
  if (!fork()) {
    munmap(shared, P), mprotect(shared + 1024, P, PROT_READ), madvise(shared + 1024, P, MADV_DONTNEED);
    _exit(shared[1024]);
  }
  wait(&status);
  SHOW(WEXITSTATUS(status) * 10 + shared[1024]);
  int *moved = mremap(shared, 3 * P, 5 * P, MREMAP_MAYMOVE);
  SHOW(moved[0]);
  SHOW(dies((char *)(moved + 3 * 1024), 0));
  int *twin = mremap(moved, 0, P, MREMAP_MAYMOVE);
  *twin = 55;
  SHOW(*moved);
  madvise(own, P, MADV_WIPEONFORK), *own = 6;
  SHOW(dies((char *)own, 0));
  madvise(own, P, MADV_KEEPONFORK);
  SHOW(dies((char *)own, 0));
  madvise(own, P, MADV_DONTFORK);
  SHOW(dies((char *)own, 0));
  int *zero = mmap(0, P, PROT_READ | PROT_WRITE, MAP_SHARED, open("/dev/zero", O_RDWR), 0);
  SHOW(dies((char *)zero, 1) * 10 + *zero);
  int *private = mmap(0, P, PROT_READ | PROT_WRITE, MAP_PRIVATE, open("/dev/zero", O_RDWR), 0);
  SHOW(dies((char *)private, 1) * 10 + *private);
}
static void show(int id) {
  struct shmid_ds d;
  errno = 0;
  if (shmctl(id, IPC_STAT, &d))
    printf("%s\n", strerrorname_np(errno));
  else
    printf("mode %o uid %d cuid %d size %ld attached %ld cpid %s lpid %s key %s a %d c %d\n", d.shm_perm.mode, d.shm_perm.uid, d.shm_perm.cuid, d.shm_segsz, d.shm_nattch, d.shm_cpid == getpid() ? "own" : "other", d.shm_lpid == getpid() ? "own" : d.shm_lpid ? "other" : "none", d.shm_perm.__key ? "key" : "private", d.shm_atime != 0, d.shm_ctime != 0);
}
static void systemv(void) {
  SHOW(shmget(0x5eed, P, 0600));
  SHOW(shmget(0x5eed, 0, IPC_CREAT | 0600));
  SHOW(shmget(IPC_PRIVATE, 1L << 60, IPC_CREAT | 0600));
  int id = shmget(0x5eed, 2 * P + 5, IPC_CREAT | IPC_EXCL | 0640), status;
  IS(id >= 0);
  show(id);
  SHOW(shmget(0x5eed, P, IPC_CREAT | IPC_EXCL | 0600));
  SHOW(shmget(0x5eed, P, 0) == id);
  SHOW(shmget(0x5eed, 0, 0) == id);
  SHOW(shmget(0x5eed, 3 * P, 0));
  SHOW(shmget(0x5eed, P, 0600) == id);
  SHOW(shmctl(id, 99, 0));
  SHOW(shmctl(id, IPC_STAT, (void *)8));
  SHOW(shmctl(id + 1, IPC_STAT, 0));
  SHOW(shmctl(-1, IPC_STAT, 0));
  SHOW(shmat(id + 1, 0, 0));
  SHOW(shmat(-1, 0, 0));
  SHOW(shmat(id, (void *)1, 0));
  char *a = shmat(id, 0, 0), *r = shmat(id, 0, SHM_RDONLY);
  IS(a != (void *)-1 && r != (void *)-1);
  show(id);
  a[0] = 4;
  SHOW(r[0]);
  SHOW(dies(r, 1));
  SHOW(dies(a, 1) * 10 + a[0]);
  SHOW(dies(a + 2 * P, 0));
  SHOW(dies(a + 3 * P - 1, 0));
  SHOW(shmat(id, a, 0));
  SHOW(shmat(id, a + 5, 0));
  SHOW(shmat(id, a + 5, SHM_RND));
  IS(shmat(id, a, SHM_REMAP) == a);
  SHOW(shmat(id, 0, SHM_REMAP));
  show(id);
  SHOW(mprotect(r, P, PROT_READ | PROT_WRITE));
  SHOW(shmdt(a + 1));
  SHOW(shmdt(a + P));
  SHOW(shmdt((void *)P));
  SHOW(munmap(a, P));
  SHOW(shmdt(a));
  show(id);
  SHOW(shmdt(r));
  show(id);
  struct shmid_ds d;
  shmctl(id, IPC_STAT, &d);
  d.shm_perm.mode = 0777, d.shm_perm.uid = 5, d.shm_segsz = 1;
  SHOW(shmctl(id, IPC_SET, &d));
  show(id);
  d.shm_perm.mode = 0600, d.shm_perm.uid = 0, shmctl(id, IPC_SET, &d);
  fflush(stdout);
  if (!fork()) {
    setgid(9), setuid(9);
    SHOW(shmat(id, 0, SHM_RDONLY));
    SHOW(shmget(0x5eed, 0, 0) == id);
    SHOW(shmget(0x5eed, 0, 0400));
    SHOW(shmctl(id, IPC_STAT, &d));
    SHOW(shmctl(id, IPC_RMID, 0));
    SHOW(shmctl(id, IPC_SET, &d));
    fflush(stdout);
    _exit(0);
  }
  wait(0);
  // Removed while it is attached, and of a child.
  a = shmat(id, 0, 0);
  fflush(stdout);
  int p[2], q[2];
  char c;
  pipe(p), pipe(q);
  pid_t child = fork();
  if (!child) {
    write(p[1], "x", 1);
    read(q[0], &c, 1);
    _exit(a[0]);
  }
  read(p[0], &c, 1);
  show(id);
  SHOW(shmctl(id, IPC_RMID, 0));
  show(id);
  SHOW(shmget(0x5eed, 0, 0));
  SHOW(shmctl(id, IPC_RMID, 0));
  char *b = shmat(id, 0, 0);
  IS(b != (void *)-1);
  a[0] = 77;
  SHOW(shmdt(a) ?: shmdt(b));
  show(id);
  write(q[1], "x", 1), waitpid(child, &status, 0);
  SHOW(WEXITSTATUS(status));
  show(id);
  id = shmget(IPC_PRIVATE, P, 0600);
  int second = shmget(IPC_PRIVATE, P, 0600);
  IS(id >= 0 && second >= 0 && second != id);
  shmctl(second, IPC_RMID, 0);
  show(id);
  if (!fork()) {
    char *x = shmat(id, 0, 0);
    *x = 9;
    execl("/proc/self/exe", "shm", "quiet", (char *)0);
    _exit(0);
  }
  wait(0);
  show(id);
  a = shmat(id, 0, 0);
  SHOW(a[0]);
  SHOW(shmctl(id, SHM_LOCK, 0));
  show(id);
  SHOW(shmctl(id, SHM_UNLOCK, 0));
  struct shminfo info;
  WORKS(shmctl(0, IPC_INFO, (void *)&info));
  SHOW(info.shmmni);
  struct shm_info used;
  WORKS(shmctl(0, SHM_INFO, (void *)&used));
  IS(used.used_ids >= 1);
  shmctl(id, IPC_RMID, 0);
}
int main(int count, char **args) {
  (void)args;
  if (count > 1)
    return 0;
  posix();
  sealed();
  forks();
  systemv();
}
