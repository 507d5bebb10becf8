// Keeps numbers in a register of AVX while the machine may become another domain: the register has to be
// there, and as it was.
#include <stdio.h>
#include <string.h>
#include <time.h>

// The C library uses such registers itself, so that nothing of it may run in between.
static void rest(const struct timespec *time, const unsigned char *in, unsigned char *out)
{
	long call = 35; // nanosleep
	__asm__ volatile("vmovdqu (%[in]), %%ymm7\n\tsyscall\n\tvmovdqu %%ymm7, (%[out])"
			 : "+a"(call)
			 : "D"(time), "S"(0L), [in] "r"(in), [out] "r"(out)
			 : "rcx", "r11", "memory", "xmm7");
}

int main(void)
{
	if (!__builtin_cpu_supports("avx")) {
		puts("ymm kept: there is none");
		return 0;
	}
	struct timespec tick = {0, 50000000}, begun, now;
	unsigned char in[32], out[32];
	unsigned round = 0;
	clock_gettime(CLOCK_MONOTONIC, &begun);
	do {
		memset(in, ++round, sizeof in);
		rest(&tick, in, out);
		if (memcmp(in, out, sizeof in)) {
			printf("ymm lost in round %u\n", round);
			return 1;
		}
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec - begun.tv_sec < 8);
	puts("ymm kept");
	return 0;
}
