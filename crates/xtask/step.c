// Prints the address of every instruction that a command executes, in the order of the first time, until it executes another program.
//
//     step FILE FIRST LAST PROGRAM [ARG...]
//
// Only addresses from FIRST to LAST (hexadecimal) are written to FILE. Its children are followed as it is, each until execve(2).
// Every instruction is a stop, so a start takes half a minute: ptrace(2), PTRACE_SINGLESTEP. For x86_64, whose instruction pointer is rip.
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

static void note(pid_t pid, FILE *file, char *seen, unsigned long long first, unsigned long long last) {
    struct user_regs_struct registers;
    if (ptrace(PTRACE_GETREGS, pid, 0, &registers) != 0) return;
    if (registers.rip < first || registers.rip > last || seen[registers.rip - first]) return;
    seen[registers.rip - first] = 1;
    fprintf(file, "%llx\n", registers.rip);
}

int main(int argc, char **argv) {
    if (argc < 5) return 125;
    FILE *file = fopen(argv[1], "w");
    unsigned long long first = strtoull(argv[2], 0, 16), last = strtoull(argv[3], 0, 16);
    char *seen = calloc(last - first + 1, 1);
    if (!file || !seen) return 125;
    pid_t command = fork(), pid;
    if (command == 0) {
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        execv(argv[4], argv + 4);
        _exit(125);
    }
    int status, result = 125;
    waitpid(command, &status, 0);
    ptrace(PTRACE_SETOPTIONS, command, 0,
           PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL);
    ptrace(PTRACE_SINGLESTEP, command, 0, 0);
    while ((pid = waitpid(-1, &status, __WALL)) > 0) {
        if (!WIFSTOPPED(status)) {
            if (pid == command) result = WIFEXITED(status) ? WEXITSTATUS(status) : 125;
            continue;
        }
        int event = status >> 16, signal = WSTOPSIG(status);
        if (event == PTRACE_EVENT_EXEC) {
            ptrace(PTRACE_DETACH, pid, 0, 0);
            continue;
        }
        // What isn't the program's own: a step, an event, the first stop of a child.
        if (event || signal == SIGTRAP || signal == SIGSTOP) signal = 0;
        note(pid, file, seen, first, last);
        ptrace(PTRACE_SINGLESTEP, pid, 0, signal);
    }
    return fclose(file) == 0 ? result : 125;
}
