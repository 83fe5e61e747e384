#!/bin/bash
# Runs the command in the test machine, as init or as a service of systemd, and writes its output and its exit status
# into the run directory.
cd /run/izba-vm
. ./settings
mkfifo out err
cat out >> host/out &
out=$!
cat err >> host/err &
err=$!

command=(bash /run/izba-vm/command)
if [ -n "$account" ]; then
    if [ -n "$systemd" ]; then
        # The user's own manager, as if the user had logged in.
        uid=$(id -u "$account")
        export XDG_RUNTIME_DIR=/run/user/$uid DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/$uid/bus
        loginctl enable-linger "$account"
        systemctl start "user@$uid.service"
        for ((i = 0; i < 200; i++)); do [ -S "/run/user/$uid/bus" ] && break; sleep 0.05; done
    fi
    command=(su -s /bin/bash "$account" -c "${command[*]}")
fi
"${command[@]}" < /dev/null > out 2> err
status=$?

# What was left in the background may hold the pipes open for ever.
for ((i = 0; i < 40; i++)); do
    kill -0 $out 2> /dev/null || kill -0 $err 2> /dev/null || break
    sleep 0.05
done
sync
echo $status > host/status.new
mv host/status.new host/status
exec sleep infinity # the host ends the machine when it sees the file
