// The floor of `cargo xtask bench`: the kernel work of `izba run DIR` as root with default options, and nothing else.
//
//     floor ROOT PROGRAM [ARG...]
//
// One clone3, the mounts, the masks, pivot_root, least privilege, exec. Nothing is read, checked, parsed or reported: a
// call that fails ends the program with status 125, except where a kernel lacks a path that is only to be hidden.
//
// What izba does beyond this is NOT in the floor: a second process (izba's init, which reaps zombies, forwards signals
// and notices izba's death; `--no-init` does without), checks of what was opened, id look-ups, and every message.
// The program is PID 1 of its namespace here.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

// <sys/mount.h> and <linux/mount.h> define the same names in some C libraries, so these few come from here.
enum { DETACH = 2 };
int mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data);
int umount2(const char *target, int flags);

static void must(long result) {
    if (result < 0) _exit(125);
}

static void mount_at(const char *type, const char *target, unsigned long flags, const char *data) {
    must(mount(type, target, type, flags, data));
}

static void bind_root(const char *root) {
    must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
    int tree = syscall(SYS_open_tree, AT_FDCWD, root, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
    must(tree);
    must(syscall(SYS_move_mount, tree, "", AT_FDCWD, root, MOVE_MOUNT_F_EMPTY_PATH));
    must(fchdir(tree));
    close(tree);
}

static void fill_dev(void) {
    static const struct { const char *path; int major, minor; } nodes[] = {
        {"dev/null", 1, 3}, {"dev/zero", 1, 5},    {"dev/full", 1, 7},
        {"dev/random", 1, 8}, {"dev/urandom", 1, 9}, {"dev/tty", 5, 0},
    };
    static const char *const links[][2] = {
        {"/proc/self/fd", "dev/fd"},       {"/proc/self/fd/0", "dev/stdin"}, {"/proc/self/fd/1", "dev/stdout"},
        {"/proc/self/fd/2", "dev/stderr"}, {"pts/ptmx", "dev/ptmx"},
    };
    umask(0);
    mount_at("tmpfs", "dev", MS_NOSUID | MS_NOEXEC, "mode=0755,size=64k");
    for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++)
        must(mknod(nodes[i].path, S_IFCHR | 0666, makedev(nodes[i].major, nodes[i].minor)));
    for (size_t i = 0; i < sizeof links / sizeof *links; i++) must(symlink(links[i][0], links[i][1]));
    must(mkdir("dev/pts", 0755));
    must(mkdir("dev/shm", 01777));
    must(mkdir("dev/mqueue", 01777));
    mount_at("devpts", "dev/pts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5");
    mount_at("tmpfs", "dev/shm", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=1777,size=64m");
    mount_at("mqueue", "dev/mqueue", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
}

// One read-only empty tmpfs hides every directory, one null device every file.
static void mask(void) {
    static const char *const hidden[] = {
        "proc/acpi",        "proc/kcore",       "proc/keys", "proc/latency_stats", "proc/timer_list",
        "proc/timer_stats", "proc/sched_debug", "proc/scsi", "sys/firmware",       "sys/devices/virtual/powercap",
    };
    int null = open("dev/null", O_PATH | O_CLOEXEC), empty = -1;
    must(null);
    for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++) {
        struct stat what;
        if (stat(hidden[i], &what) < 0) continue;
        if (!S_ISDIR(what.st_mode)) {
            int copy = syscall(SYS_open_tree, null, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
            must(copy);
            must(syscall(SYS_move_mount, copy, "", AT_FDCWD, hidden[i], MOVE_MOUNT_F_EMPTY_PATH));
            close(copy);
        } else if (empty < 0) {
            mount_at("tmpfs", hidden[i], MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=0,nr_inodes=1");
            empty = open(hidden[i], O_PATH | O_CLOEXEC);
        } else {
            int copy = syscall(SYS_open_tree, empty, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
            must(copy);
            must(syscall(SYS_move_mount, copy, "", AT_FDCWD, hidden[i], MOVE_MOUNT_F_EMPTY_PATH));
            close(copy);
        }
    }
    if (empty >= 0) close(empty);
    close(null);
}

static void make_read_only(void) {
    static const char *const frozen[] = {"proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger"};
    struct mount_attr attr = {
        .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC};
    for (size_t i = 0; i < sizeof frozen / sizeof *frozen; i++) {
        int copy = syscall(SYS_open_tree, AT_FDCWD, frozen[i], OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
        if (copy < 0) continue;
        must(syscall(SYS_mount_setattr, copy, "", AT_EMPTY_PATH, &attr, sizeof attr));
        must(syscall(SYS_move_mount, copy, "", AT_FDCWD, frozen[i], MOVE_MOUNT_F_EMPTY_PATH));
        close(copy);
    }
}

static void raise_loopback(void) {
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    must(fd);
    must(ioctl(fd, SIOCSIFFLAGS, &request));
    close(fd);
}

// CHOWN, DAC_OVERRIDE, FSETID, FOWNER, SETGID, SETUID, SETPCAP, NET_BIND_SERVICE, SYS_CHROOT, KILL, SETFCAP.
static void drop_privileges(void) {
    const uint64_t keep = 0x1ull << 0 | 0x1ull << 1 | 0x1ull << 4 | 0x1ull << 3 | 0x1ull << 6 | 0x1ull << 7 |
                          0x1ull << 8 | 0x1ull << 10 | 0x1ull << 18 | 0x1ull << 5 | 0x1ull << 31;
    for (int cap = 0; cap < 64; cap++)
        if (!(keep >> cap & 1) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0) break; // EINVAL: past the last one
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {
        {.effective = (uint32_t)keep, .permitted = (uint32_t)keep},
        {.effective = (uint32_t)(keep >> 32), .permitted = (uint32_t)(keep >> 32)},
    };
    must(syscall(SYS_capset, &header, data));
    must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

static void child(char **argv) {
    static char *environment[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", NULL};
    raise_loopback();
    must(sethostname("izba", 4));
    bind_root(argv[1]);
    mount_at("proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
    mount_at("sysfs", "sys", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
    fill_dev();
    mask();
    make_read_only();
    must(syscall(SYS_pivot_root, ".", "."));
    must(umount2(".", DETACH));
    must(chdir("/"));
    must(setsid());
    drop_privileges();
    execve(argv[2], argv + 2, environment);
    _exit(errno == ENOENT ? 127 : 126);
}

int main(int argc, char **argv) {
    if (argc < 3) return 125;
    struct clone_args args = {
        .flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP,
        .exit_signal = SIGCHLD,
    };
    pid_t pid = syscall(SYS_clone3, &args, sizeof args);
    must(pid);
    if (pid == 0) child(argv);
    int status;
    must(waitpid(pid, &status, 0));
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
