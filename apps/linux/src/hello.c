/* A program without shared libraries: its arguments, its environment, floating point, a status. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
	volatile long nowhere = 16;
	if (argc > 1 && !strcmp(argv[1], "--fault"))
		*(volatile int *)nowhere = 1;
	if (argc != 3)
		return 1;
	const char *greeting = getenv("GREETING");
	volatile double pi = 3.0;
	pi += 0.14159;
	printf("hello: %s, %s; GREETING=%s; pi is %.5f\n", argv[1], argv[2],
	       greeting ? greeting : "nothing", pi);
	return 7;
}
