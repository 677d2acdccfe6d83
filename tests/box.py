"""A real systemd to try things with, over an overlay of this machine that is thrown away.

It is process 1 of namespaces of its own. All mounts are made in its own mount namespace, so they
end with it. The one thing that it makes outside is a group in the cgroup2 tree.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_SYSTEMD = "/lib/systemd/systemd"

_PROGRAMS = (
    "unshare",
    "nsenter",
    "setpriv",
    "pivot_root",
    "journalctl",
    "systemctl",
    "dbus-daemon",
)

_INSIDE = r"""
set -e
mount -t tmpfs -o mode=755,size=3g box "$1"
cd "$1"
mkdir upper work root
mount -t overlay -o "lowerdir=/,upperdir=$PWD/upper,workdir=$PWD/work" box root
cd root
mount -t proc -o nosuid,noexec,nodev proc proc
mount -t sysfs -o nosuid,noexec,nodev,ro sysfs sys
mount -t cgroup2 -o nosuid,noexec,nodev cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755,nosuid,size=16m dev dev
for device in null:3 zero:5 full:7 random:8 urandom:9; do
    mknod -m 666 "dev/${device%:*}" c 1 "${device#*:}"
done
mknod -m 666 dev/tty c 5 0
mkdir dev/pts dev/shm dev/mqueue dev/hugepages
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,nosuid,noexec devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mount -t tmpfs -o mode=1777,nosuid,nodev shm dev/shm
mount -t tmpfs -o mode=755,nosuid,nodev run run
mount -t tmpfs -o mode=1777,nosuid,nodev tmp tmp
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
# A machine of its own: no identity, no mounts, no housekeeping, no counts of the one below.
echo uninitialized >etc/machine-id
echo box >etc/hostname
: >etc/fstab
rm -rf etc/systemd/system/*.wants var/log/journal var/lib/dane-mailgraph var/cache/dane-mailgraph
mkdir -p var/log/journal
for unit in systemd-udevd systemd-udev-trigger systemd-timesyncd systemd-networkd \
    systemd-resolved systemd-firstboot console-getty; do
    ln -sf /dev/null "etc/systemd/system/$unit.service"
done
ln -sf /dev/null etc/systemd/system/getty.target
ln -sf /dev/null etc/systemd/system/systemd-tmpfiles-clean.timer
cat >etc/systemd/system/box.target <<'UNIT'
[Unit]
Requires=basic.target
Wants=systemd-journald.service dbus.socket
After=basic.target dbus.socket
AllowIsolate=yes
UNIT
mkdir .below
pivot_root . .below
umount -l /.below
rmdir /.below
# No right to set the machine's clock, to load modules, to touch its hardware.
exec setpriv --bounding-set=-sys_time,-sys_module,-sys_rawio,-syslog,-mac_admin,-wake_alarm \
    env -i container=box PATH="$2" LANG=C.UTF-8 TERM=dumb \
    "$3" --system --unit=box.target --log-target=journal --show-status=no systemd.firstboot=off
"""


def why_not() -> str | None:
    """Why this machine cannot boot a box; None where it can try."""
    if os.geteuid():
        return "only root can boot a systemd"
    missing = [each for each in _PROGRAMS if not shutil.which(each, path=PATH)]
    missing += [] if os.path.exists(_SYSTEMD) else [_SYSTEMD]
    if missing:
        return (
            f"not installed: {', '.join(missing)} (Debian: systemd, systemd-sysv, dbus, util-linux)"
        )
    if _cgroups() is None:
        return "no cgroup2 is mounted here"
    if "\toverlay\n" not in Path("/proc/filesystems").read_text() and not shutil.which(
        "modprobe", path=PATH
    ):
        return "this kernel has no overlayfs"
    return None


def _cgroups() -> str | None:
    mounts = (line.split() for line in Path("/proc/mounts").read_text().splitlines())
    return next((fields[1] for fields in mounts if fields[2] == "cgroup2"), None)


class CannotBoot(Exception):
    """The machine does not let us boot one."""


class Box:
    """A booted one; use it in a `with`."""

    def __init__(self) -> None:
        self._folder = tempfile.mkdtemp(prefix="dane-mailgraph-box.")
        self._group = Path(_cgroups() or "", os.path.basename(self._folder))
        # Open until it is stopped.
        self._console = open(os.path.join(self._folder, "console"), "wb")  # noqa: SIM115
        self.pid = 0
        """Its process 1, as the machine sees it."""

    def __enter__(self) -> Box:
        try:
            self._boot()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _boot(self) -> None:
        try:
            self._group.mkdir()
        except OSError as error:
            raise CannotBoot(f"no control group can be made: {error}") from error
        below = os.path.join(self._folder, "box")
        os.mkdir(below)
        # It joins the group first, so that the group is the root of what it sees.
        # If the tests are killed, it dies too.
        join = f'echo $$ >"{self._group}/cgroup.procs" && exec "$@"'
        namespaces = (
            "--fork",
            "--kill-child",
            "--pid",
            "--mount",
            "--propagation=private",
            "--cgroup",
            "--uts",
            "--ipc",
            "--net",
        )
        outside = ("sh", "-c", join, "sh", "setpriv", "--pdeathsig=KILL", "unshare", *namespaces)
        self._process = subprocess.Popen(
            [*outside, "sh", "-c", _INSIDE, "sh", below, PATH, _SYSTEMD],
            stdin=subprocess.DEVNULL,
            stdout=self._console,
            stderr=self._console,
            start_new_session=True,
        )
        until = time.monotonic() + 60
        while time.monotonic() < until and self._process.poll() is None:
            with suppress(OSError, IndexError):
                pid = self._process.pid
                children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
                self.pid = int(children.split()[0])
                if "system.slice" in os.listdir(self._group) and self._up():
                    return
            time.sleep(0.05)
        self._console.flush()
        said = Path(self._console.name).read_text(errors="replace")
        raise CannotBoot(f"no systemd came up: {said.strip() or 'it said nothing'}")

    def _up(self) -> bool:
        done = self.run("systemctl", "is-system-running", check=False)
        return done.stdout.strip() in ("running", "degraded")

    def stop(self) -> None:
        """Power off, and leave nothing behind."""
        if self.pid:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGRTMIN + 4)  # systemd(1): starts poweroff.target
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(15)
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self._process.kill()
            self._process.wait()
        self._console.close()
        until = time.monotonic() + 10
        while self._group.exists() and time.monotonic() < until:
            for folder, _, _ in os.walk(self._group, topdown=False):
                with suppress(OSError):
                    os.rmdir(folder)
        shutil.rmtree(self._folder, ignore_errors=True)

    # ---- what is done in it ----

    def __truediv__(self, path: str) -> Path:
        """A file of the box: `box / "/etc/hostname"`."""
        return Path(f"/proc/{self.pid}/root", path.lstrip("/"))

    def inside(self, *command: str, **environment: str) -> list[str]:
        """The command line that runs a command in the box."""
        enter = (
            "nsenter",
            f"--target={self.pid}",
            "--mount",
            "--uts",
            "--ipc",
            "--net",
            "--pid",
            "--cgroup",
            "--root",
            "--wd",
        )
        variables = {
            "PATH": PATH,
            "HOME": "/root",
            "LANG": "C.UTF-8",
            "TERM": "dumb",
            **environment,
        }
        return [
            *enter,
            "env",
            "-i",
            *(f"{name}={value}" for name, value in variables.items()),
            *command,
        ]

    def run(
        self, *command: str, check: bool = True, timeout: float = 60, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the box, as root."""
        line = self.inside(*command, **environment)
        done = subprocess.run(
            line,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=timeout,
            check=False,
        )
        assert not check or done.returncode == 0, (
            f"{command}: {done.returncode}: {done.stdout}{done.stderr}"
        )
        return done

    def says(self, *command: str) -> str:
        """What a command prints that ends well."""
        return self.run(*command).stdout.strip()

    def show(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.says("systemctl", "show", "--value", f"--property={name}", unit)

    def journal(self, unit: str) -> str:
        """What a unit has said."""
        self.run("journalctl", "--sync")
        return self.says("journalctl", "--no-pager", "-o", "cat", "-u", unit)
