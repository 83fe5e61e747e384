#!/bin/bash
# Init of the test machine: the host's files through an overlay, a pure cgroup v2, then the command, or systemd and the
# command as a service of it. Lies in the run directory, which is the host's and the only thing that is written to there.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
host=${0%/*} root=/mnt/root
. "$host/settings"

mount -n -t proc proc /proc
mount -n -t tmpfs tmpfs /mnt
mkdir /mnt/{upper,work,root}
mount -n -t overlay root -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work $root || exit 1
mkdir -p $root/{proc,sys,dev,run,tmp}
rm -f $root/.dockerenv # systemd would take the machine for a container
: > $root/etc/fstab
mount -n -t proc proc $root/proc
mount -n -t sysfs sysfs $root/sys
mount -n -t cgroup2 -o nsdelegate,memory_recursiveprot cgroup2 $root/sys/fs/cgroup
mount -n -t devtmpfs dev $root/dev
mkdir -p $root/dev/{pts,shm,mqueue}
mount -n -t devpts -o newinstance,mode=620,gid=5,ptmxmode=666 devpts $root/dev/pts
mount -n -t tmpfs -o mode=1777 shm $root/dev/shm
mount -n -t mqueue mqueue $root/dev/mqueue
mount -n -t tmpfs -o mode=755 run $root/run
mount -n -t tmpfs -o mode=1777 tmp $root/tmp
ln -sfn /proc/self/fd $root/dev/fd
for stream in '0 stdin' '1 stdout' '2 stderr'; do
    ln -sfn "/proc/self/fd/${stream% *}" "$root/dev/${stream#* }"
done

# A user comes as far as the directory that the command starts in, though it be below root's closed home. In the overlay.
if [ -n "$account" ]; then
    above=$directory
    while [ -n "$above" ]; do chmod a+x "$root$above"; above=${above%/*}; done
fi
for share in "${shares[@]}"; do
    mkdir -p "$root$share"
    mount -n --bind "$share" "$root$share"
done
mkdir -p $root/run/izba-vm/host
mount -n --bind "$host" $root/run/izba-vm/host # open to root only, as the environment is in it
install -m 755 "$host/command" "$host/run" "$host/settings" $root/run/izba-vm
hostname testvm
echo testvm > $root/etc/hostname
ip link set lo up

start=/run/izba-vm/run
if [ -n "$systemd" ]; then
    # Only what D-Bus and logind need: the rest would look for hardware, clocks and disks.
    units=$root/etc/systemd/system
    mkdir -p $units/user@.service.d
    for unit in systemd-{udevd,udev-trigger,binfmt,update-utmp,journal-flush,sysusers,random-seed}.service \
        systemd-{timesyncd,remount-fs,firstboot,machine-id-commit,modules-load}.service \
        systemd-udevd-{kernel,control}.socket {kmod-static-nodes,modprobe@}.service \
        {tmp,dev-hugepages,sys-kernel-debug,sys-kernel-tracing}.mount proc-sys-fs-binfmt_misc.automount; do
        ln -sf /dev/null "$units/$unit"
    done
    # cpuset and io aren't delegated to users by default
    printf '[Service]\nDelegate=cpu cpuset io memory pids\n' > $units/user@.service.d/delegate.conf
    cat > $units/vm.service << END
[Unit]
DefaultDependencies=no
After=sysinit.target dbus.service systemd-logind.service
[Service]
ExecStart=$start
Delegate=yes
TasksMax=infinity
LimitNOFILE=1048576
END
    cat > $units/vm.target << END
[Unit]
Requires=sysinit.target dbus.socket
Wants=dbus.service systemd-logind.service vm.service
AllowIsolate=yes
END
    [ -s $root/etc/machine-id ] || echo 00000000000000000000000074657374 > $root/etc/machine-id
    umount -n $root/sys/fs/cgroup # systemd mounts its own
    start='/lib/systemd/systemd --unit=vm.target'
fi
umount -n /proc
cd $root
mount -n --move . /
exec chroot . $start
