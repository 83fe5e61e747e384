// A crowd for `cargo xtask bench ns`: 5,000 processes in 1,000 namespaces of its own, as 125 containers would make them.
//
//     crowd
//
// All of it is in one PID namespace, whose first process prints a line when everything stands and ends at the end of its
// standard input: the kernel then ends all the others. A call that fails ends the program with status 125.
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CONTAINERS = 125, PROCESSES = 40, NEWTIME = 0x80 };

static int must(int result) {
    if (result < 0) _exit(125);
    return result;
}

static void say(int fd) {
    must(write(fd, ".", 1));
}

// The first process of a container's PID namespace, and the rest of the container.
static void container(int ready) {
    for (int i = 0; i < PROCESSES - 2; i++)
        if (must(fork()) == 0) {
            say(ready);
            for (;;) pause();
        }
    say(ready);
    for (;;) pause();
}

static void launcher(int ready) {
    must(unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP |
                 NEWTIME));
    if (must(fork()) == 0) container(ready);
    say(ready);
    for (;;) pause();
}

static int first(void) {
    int ready[2];
    char byte;
    must(prctl(PR_SET_PDEATHSIG, SIGKILL));
    must(pipe(ready));
    for (int i = 0; i < CONTAINERS; i++)
        if (must(fork()) == 0) launcher(ready[1]);
    for (int i = 0; i < CONTAINERS * PROCESSES; i++)
        if (read(ready[0], &byte, 1) != 1) return 125;
    puts("ready");
    fflush(stdout);
    while (read(0, &byte, 1) > 0) {}
    return 0;
}

int main(void) {
    must(unshare(CLONE_NEWPID));
    pid_t pid = must(fork());
    if (pid == 0) _exit(first());
    int status;
    must(waitpid(pid, &status, 0));
    return WIFEXITED(status) ? WEXITSTATUS(status) : 125;
}
