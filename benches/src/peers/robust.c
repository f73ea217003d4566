/* Processes that take a robust, process-shared pthread mutex in turn (pthread_mutexattr_setrobust(3)) and count under it.
   Arguments: processes, turns of each. Prints seconds. */
#define _GNU_SOURCE
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct shared {
    pthread_mutex_t mutex;
    sem_t ready, go, done;
    volatile long count;
};

static void take_turns(struct shared *shared, long turns) {
    for (long i = 0; i < turns; i++) {
        if (pthread_mutex_lock(&shared->mutex)) abort();
        shared->count++;
        pthread_mutex_unlock(&shared->mutex);
    }
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    long processes = atol(argv[1]), turns = atol(argv[2]);
    struct shared *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) return 1;
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&shared->mutex, &attributes);
    sem_init(&shared->ready, 1, 0);
    sem_init(&shared->go, 1, 0);
    sem_init(&shared->done, 1, 0);
    for (long i = 0; i < processes; i++) {
        if (fork() == 0) {
            sem_post(&shared->ready);
            sem_wait(&shared->go);
            take_turns(shared, turns);
            sem_post(&shared->done);
            _exit(0);
        }
    }
    for (long i = 0; i < processes; i++) sem_wait(&shared->ready);
    double start = now();
    for (long i = 0; i < processes; i++) sem_post(&shared->go);
    for (long i = 0; i < processes; i++) sem_wait(&shared->done);
    printf("%.9f\n", now() - start);
    while (wait(NULL) > 0) {}
    return shared->count != processes * turns;
}
