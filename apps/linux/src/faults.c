// What the processor refuses, as signals (sigaction(2), si_code)
#include "show.h"
#include <setjmp.h>
static sigjmp_buf back;
static volatile int number, code;
static volatile uintptr_t where;
static void caught(int s, siginfo_t *i, void *c) {
  (void)c;
  number = s;
  code = i->si_code;
  where = (uintptr_t)i->si_addr;
  siglongjmp(back, 1);
}
#define TRY(what)                                                              \
  do {                                                                         \
    number = code = 0;                                                         \
    if (!sigsetjmp(back, 1)) {                                                 \
      what;                                                                    \
    }                                                                          \
    printf("%s: %d %d\n", #what, number, code);                                \
  } while (0)
int main(void) {
  struct sigaction a = {.sa_sigaction = caught, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  stack_t s = {.ss_sp = malloc(65536), .ss_size = 65536};
  sigaltstack(&s, 0);
  int all[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
  for (int i = 0; i < 5; i++)
    sigaction(all[i], &a, 0);
  TRY(*(volatile int *)8 = 1);
  IS(where == 8);
  TRY((void)*(volatile int *)0x500000000000);
  IS(where == 0x500000000000);
  TRY((void)*(volatile int *)0x8000000000000000);
  TRY(((void (*)(void))8)());
  char *r = mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  TRY(*(volatile char *)r = 1);
  TRY(((void (*)(void))r)());
  TRY(asm volatile("ud2"));
  TRY(asm volatile("int3"));
  TRY(asm volatile("hlt"));
  TRY(asm volatile("cli"));
  TRY(asm volatile("in $0x80, %%al" ::: "rax"));
  TRY(asm volatile("mov %%cr3, %%rax" ::: "rax"));
  TRY(asm volatile("rdmsr" ::: "rax", "rdx"));
  TRY(asm volatile("xor %%ecx, %%ecx; mov $1, %%eax; cdq; idiv %%ecx" ::: "rax", "rcx", "rdx"));
  TRY(asm volatile("mov $0x10, %%eax; mov %%eax, %%ss" ::: "rax"));
  int f = open("/tmp/short", O_RDWR | O_CREAT | O_TRUNC, 0600);
  write(f, "x", 1);
  char *m = mmap(0, 8192, PROT_READ, MAP_SHARED, f, 0);
  TRY((void)*(volatile char *)(m + 4096));
  unlink("/tmp/short");
  double zero = 0;
  volatile double d = 1 / zero;
  IS(d > 1e300);
  puts("end");
}
