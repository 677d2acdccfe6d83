#!/bin/sh
# deb.sh [SUITE...]
# Builds the Debian package in a fresh minimal Debian of each SUITE, from its own packages, holds it to lintian, and puts
# the last one into dist. Without SUITE it is that of Debian 12, which both take. Only root can.
# deb.sh build: the part inside, as root; the package comes as a tar on standard output.
# deb.sh boot: inside another, as root: boots a real systemd, installs the package of dist, and waits for count and page.
# deb.sh try: inside another, as root: installs the package of dist, counts, upgrades, removes and purges it.
set -eu

build() {
    rm -rf dist
    export DEBIAN_FRONTEND=noninteractive
    apt-get -q update
    apt-get -q -y --no-install-recommends install build-essential fakeroot lintian
    version=$(dpkg-parsechangelog -SVersion)
    git archive --prefix=dane-mailgraph/ -o "../dane-mailgraph_${version%-*}.orig.tar.gz" HEAD -- . ':!debian'
    apt-get -q -y --no-install-recommends build-dep ./
    dpkg-buildpackage -us -uc
    # Each Debian's lintian finds something else: an override that the other one needs is no fault.
    lintian --pedantic --fail-on error,warning,info,pedantic \
        --suppress-tags unused-override,mismatched-override ../*.changes
}

no() {
    echo "It should not be so with the package on a fresh Debian: $*" >&2
    exit 1
}

ours() {
    runuser -u dane-mailgraph -- dane-mailgraph "$@"
}

# with_version NEW PACKAGE FILE: writes the PACKAGE as one of another version to FILE.
with_version() {
    rm -rf repacked
    dpkg-deb -R "$2" repacked
    sed -i "s/^Version: .*/Version: $1/" repacked/DEBIAN/control
    dpkg-deb -b repacked "$3" >/dev/null
}

traces() {
    find /etc /lib /run /tmp /usr /var -xdev -path /var/lib/apt -prune -o -path /var/log -prune -o \
        -name '*dane[-_]mailgraph*' -print
}

try() {
    export DEBIAN_FRONTEND=noninteractive
    package=$(echo "$PWD"/dist/*.deb)
    version=$(dpkg-deb -f "$package" Version)
    with_version 0~before "$package" /tmp/before.deb
    apt-get -q update
    apt-get -q -y --no-install-recommends install /tmp/before.deb
    rm /tmp/before.deb
    for each in cc pip pip3 rrdtool; do
        if command -v $each; then no a "$each"; fi
    done
    if python3 -c 'import matplotlib' 2>/dev/null; then no matplotlib; fi
    [ "$(stat -c '%U %a' /var/lib/dane-mailgraph /var/cache/dane-mailgraph | tr '\n' ' ')" = \
        'dane-mailgraph 750 dane-mailgraph 755 ' ] || no the folders
    id -Gn dane-mailgraph | grep -qw adm || no a user who may not read the log
    for each in multi-user.target.wants/dane-mailgraph.service timers.target.wants/dane-mailgraph-render.timer; do
        [ -e "/etc/systemd/system/$each" ] || no "$each"
    done
    if grep -v '^#' /etc/dane-mailgraph.conf | grep .; then no a setting; fi
    dane-mailgraph config | cmp - /etc/dane-mailgraph.conf

    echo '== no log: it waits, and says so'
    timeout 5 runuser -u dane-mailgraph -- dane-mailgraph run 2>waiting || [ $? -eq 124 ] || no an end
    cat waiting
    grep -q . waiting || no silence

    echo '== counts and draws'
    sh debian/tests/counts
    ours import --year 2026 - <tests/lab/mail.log
    ours render
    ours report --since 2026-01-01 --until 2027-01-01 --format json >before

    echo "== upgrade to $version, with data and a changed setting"
    sed -i 's/^# language = en/language = de/' /etc/dane-mailgraph.conf
    apt-get -q -y --no-install-recommends install "$package"
    grep -qx 'language = de' /etc/dane-mailgraph.conf || no lost setting
    ours report --since 2026-01-01 --until 2027-01-01 --format json | cmp - before

    echo '== downgrade'
    with_version 0~before "$package" before.deb
    if dpkg -i before.deb 2>refused; then no downgrade; fi
    grep "^dane-mailgraph 0~before may not read what $version has written" refused
    [ "$(dpkg-query -Wf '${Version} ${Status}' dane-mailgraph)" = "$version install ok installed" ] ||
        no half a downgrade
    ours report --since 2026-01-01 --until 2027-01-01 --format json | cmp - before

    echo '== remove keeps the data, purge does not'
    apt-get -q -y remove dane-mailgraph
    [ -s /var/lib/dane-mailgraph/ledger.sqlite ] || no removed data
    [ -e /etc/dane-mailgraph.conf ] || no removed settings
    sh -euc "$(sed -n 's/^\* .* dane-mailgraph  //p' /etc/cron.d/dane-mailgraph)" || no cron without the program
    apt-get -q -y install "$package"
    python3 -c 'import matplotlib'
    if command -v cc; then no 'a compiler, which matplotlib has brought'; fi
    ours report --since 2026-01-01 --until 2027-01-01 --format json | cmp - before
    apt-get -q -y purge dane-mailgraph 2>&1 | tee purged
    if grep -iE 'warning|not empty|cannot|failed' purged; then no such words of purge; fi
    left=$(traces)
    [ -z "$left" ] || no "left: $left"
}

# Its own systemd has no network, so what the package needs is there before.
boot() {
    export DEBIAN_FRONTEND=noninteractive
    package=$(echo "$PWD"/dist/*.deb)
    apt-get -q update
    apt-get -q -y --no-install-recommends install dbus systemd systemd-sysv util-linux
    apt-get -q -y --no-install-recommends satisfy "$(dpkg-deb -f "$package" Depends)"
    mkdir -p /sys/fs/cgroup
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
    PYTHONPATH=tests PYTHONDONTWRITEBYTECODE=1 python3 - "$package" debian/tests/starts <<'END'
import shutil
import sys

from box import Box

package, test = sys.argv[1:]
with Box() as box:
    for name in package, test:
        shutil.copy(name, box / "/root")
    box.run("dpkg", "-i", f"/root/{package.rpartition('/')[2]}", timeout=120)
    print(box.run("sh", "/root/starts", timeout=600).stdout)
END
}

case ${1:-} in
boot)
    boot
    exit
    ;;
build)
    build >&2
    tar -C .. -c "$(cd .. && echo dane-mailgraph_*.deb)"
    exit
    ;;
try)
    try
    exit
    ;;
esac
[ $# -gt 0 ] || set -- trixie bookworm
mkdir -p build dist
for suite; do
    echo "Building the package in a fresh Debian $suite"
    sh tools/root.sh "$suite" root sh tools/deb.sh build >build/deb.tar 2>build/deb.log || {
        echo "The package cannot be built in Debian $suite: see build/deb.log." >&2
        exit 1
    }
done
rm -f dist/*.deb
tar -C dist -xf build/deb.tar
ls dist/*.deb
