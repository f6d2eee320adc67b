#!/bin/sh
# systemd as PID 1 of namespaces of its own, on a copy-on-write view of this machine: boot.sh FOLDER
# To be run by unshare --mount --pid --fork --cgroup --uts --ipc --net. What it writes lands in FOLDER.
set -eu
folder=$1
mkdir -p "$folder/upper" "$folder/work" "$folder/root"
mount --make-rprivate /
mount -t overlay overlay -o "lowerdir=/,upperdir=$folder/upper,workdir=$folder/work" "$folder/root"
cd "$folder/root"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=755 tmpfs dev
for device in null zero full random urandom tty; do
    : >"dev/$device"
    mount --bind "/dev/$device" "dev/$device"
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
mount -t tmpfs -o mode=1777 tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
# nothing of this machine's own services, and no sweep through its /tmp; at the first boot
if [ ! -e "$folder/booted" ]; then rm -rf etc/systemd/system/*.wants etc/rc?.d; fi
touch "$folder/booted"
for unit in systemd-tmpfiles-setup systemd-udevd systemd-udev-trigger \
    systemd-resolved systemd-networkd systemd-timesyncd console-getty getty@tty1 apt-daily; do
    ln -sf /dev/null "etc/systemd/system/$unit.service"
done
ln -sf /dev/null etc/systemd/system/getty.target
ln -sf /dev/null etc/systemd/system/systemd-tmpfiles-clean.timer
mkdir -p before
pivot_root . before
umount -l /before
ip link set lo up
exec env -i container=other PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --unit=multi-user.target --log-target=journal
