// Makes processes and threads, and says what memory the machine has free before and after.
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <unistd.h>

static sem_t go;

static void *ends(void *value) { return value; }

static void *waits(void *value) {
  sem_wait(&go);
  return value;
}

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static void forks(int count) {
  for (int i = 0; i < count; i++) {
    int status, child = fork();
    if (child < 0)
      fail("fork");
    if (child == 0)
      _exit(i & 127);
    if (waitpid(child, &status, 0) != child || WEXITSTATUS(status) != (i & 127))
      fail("waitpid");
  }
}

static void threads(int count) {
  for (int i = 0; i < count; i++) {
    pthread_t thread;
    void *value;
    if (pthread_create(&thread, 0, ends, &go) || pthread_join(thread, &value))
      fail("thread");
    if (value != &go)
      fail("its value");
  }
}

static void at_once(int count) {
  pthread_t all[count];
  pthread_attr_t small;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, 16384);
  for (int i = 0; i < count; i++)
    if (pthread_create(&all[i], &small, waits, 0))
      fail("pthread_create");
  for (int i = 0; i < count; i++)
    sem_post(&go);
  for (int i = 0; i < count; i++)
    if (pthread_join(all[i], 0))
      fail("pthread_join");
}

static void said(const char *what) {
  struct sysinfo now;
  sysinfo(&now);
  printf("%s: %lu KiB free, %d processes\n", what, now.freeram * now.mem_unit / 1024, now.procs);
}

// Arguments: how many processes, threads one after another, threads at once.
int main(int count, char **arguments) {
  if (count != 4)
    return 2;
  int numbers[3];
  for (int i = 0; i < 3; i++)
    numbers[i] = atoi(arguments[i + 1]);
  sem_init(&go, 0, 0);
  // What is made once is there before it is counted.
  forks(10), threads(10), at_once(numbers[2]);
  said("before");
  forks(numbers[0]);
  said("forks");
  threads(numbers[1]);
  said("threads");
  at_once(numbers[2]);
  said("at once");
  return 0;
}
