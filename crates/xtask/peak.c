// Prints the peak resident memory, in KiB, of the largest single process that a command consists of.
//
//     peak PROGRAM [ARG...]
//
// wait4's ru_maxrss is the maximum over the process and the descendants that it waited for. A process inherits the
// peak of the memory that it was forked with (exec keeps it), so the program that starts the command has to be small:
// this one, static, and not xtask.
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv) {
    struct rusage usage;
    int status;
    if (argc < 2) return 125;
    pid_t pid = vfork();
    if (pid == 0) {
        // Only the number is to be read.
        int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        if (null >= 0) dup2(null, 1);
        execv(argv[1], argv + 1);
        _exit(127);
    }
    if (pid < 0 || wait4(pid, &status, 0, &usage) < 0) return 125;
    printf("%ld\n", usage.ru_maxrss);
    return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}
