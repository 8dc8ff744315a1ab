#!/bin/bash
# Boots systemd over a throw-away copy of this machine's root: `boot.sh FOLDER FILES [SOURCE=TARGET]...`
#
# FILES is copied over the root; each SOURCE is mounted read-only at TARGET; FOLDER/pid tells systemd's process.
# `systemctl reboot` in there boots again with what is on disk, `systemctl poweroff` ends this script, and so
# does SIGTERM. It is started by machine.py, in a mount namespace of its own: no mount outlives it.
#
# It shares the machine's root user: a test bed, not a boundary.
set -euo pipefail

# What an administrator of the machine set up, and what would reach out of the namespaces.
masked="systemd-logind systemd-timesyncd systemd-modules-load systemd-firstboot systemd-binfmt console-getty"
forbidden="-sys_module,-sys_time,-sys_rawio,-syslog,-mac_admin,-mac_override,-audit_control"

prepare() { # the disk of all boots
    mount -t tmpfs -o mode=755 tmpfs "$disk"
    mkdir "$disk"/{upper,work,root,cgroup}
    mount -t cgroup2 cgroup2 "$disk/cgroup"
    mount -t overlay -o "lowerdir=/,upperdir=$disk/upper,workdir=$disk/work" overlay "$root"
    rm -rf "$root"/etc/systemd/system "$root"/etc/rc?.d "$root/var/log/journal"
    mkdir "$root/etc/systemd/system"
    for name in $masked; do ln -s /dev/null "$root/etc/systemd/system/$name.service"; done
    : >"$root/etc/fstab"
    echo test-machine >"$root/etc/hostname"
    tr -d - </proc/sys/kernel/random/uuid >"$root/etc/machine-id"
    cp -a "$files/." "$root/"
    chmod 755 "$root" # FILES may be a private folder
}

supervise() {
    mkdir "$cgroup"
    trap remove_cgroup EXIT
    trap 'kill -KILL "$!"' TERM
    status=129
    while [ "$status" = 129 ]; do # SIGHUP: the kernel's way to say that a PID namespace was rebooted
        unshare --pid --uts --ipc --net --mount --propagation private --fork --kill-child \
            "$BASH" "$0" --enter "$@" &
        status=0
        wait "$!" || status=$?
    done
    wait # where SIGTERM cut the other one short
}

remove_cgroup() { # which cannot be done before the last process of it is gone
    while [ -d "$cgroup" ]; do find "$cgroup" -depth -type d -delete 2>/dev/null || sleep 0.05; done
}

enter() { # as process 1 of the new namespaces
    read -r pid _ </proc/self/stat # of the machine's own /proc: the number that it goes by outside
    echo "$pid" >"$folder/pid"
    echo 0 >"$cgroup/cgroup.procs"
    exec unshare --cgroup "$BASH" "$0" --boot "$@"
}

boot() { # now with the control group as the root of all
    mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
    mount --bind -o ro "$root/proc/sys" "$root/proc/sys"
    mount -t sysfs -o ro,nosuid,nodev,noexec sysfs "$root/sys"
    mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 "$root/sys/fs/cgroup"
    mount -t tmpfs -o mode=755,nosuid,nodev tmpfs "$root/run"
    mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs "$root/tmp"
    mount -t tmpfs -o mode=755,nosuid tmpfs "$root/dev"
    for device in null zero full random urandom tty; do
        : >"$root/dev/$device"
        mount --bind "/dev/$device" "$root/dev/$device"
    done
    mkdir "$root"/dev/{pts,shm}
    mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$root/dev/pts"
    mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs "$root/dev/shm"
    ln -s pts/ptmx "$root/dev/ptmx"
    ln -s /proc/self/fd "$root/dev/fd"
    for bind; do
        mkdir -p "$root/${bind#*=}"
        mount --bind -o ro "${bind%%=*}" "$root/${bind#*=}"
    done
    cd "$root"
    pivot_root . .
    umount --lazy .
    mount --make-rshared / # credentials need it
    exec env -i container=test setpriv --bounding-set "$forbidden" \
        /lib/systemd/systemd --unit=multi-user.target
}

step=supervise
case $1 in --*) step=${1#--} && shift ;; esac
folder=$1 files=$2 disk=$1/disk root=$1/disk/root
arguments=("$@")
if [ "$step" = supervise ]; then
    cgroup=$disk/cgroup/content-worker-test${folder//\//-}
    export cgroup
    mkdir "$disk"
    prepare
    supervise "${arguments[@]}"
else
    shift 2
    case $step in enter) enter "${arguments[@]}" ;; boot) boot "$@" ;; esac
fi
