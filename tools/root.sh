#!/bin/sh
# root.sh SUITE root|user COMMAND...
# Runs a COMMAND in a clone of what is committed here, with its dist, in a fresh minimal Debian SUITE (debootstrap; git,
# make and python3), as root or as a user with sudo. Only root can. The base is kept in ROOTS for a month; each run
# writes into an overlay of its own, which is thrown away.
set -eu
suite=$1 who=$2
roots=${ROOTS:-/var/cache/dane-mailgraph-roots}
base=$roots/$suite bundle=/etc/ssl/certs/ca-certificates.crt

die() {
    echo "No fresh Debian $suite: $*" >&2
    exit 1
}

# Where this machine's apt-get finds a suite.
mirror() {
    # shellcheck disable=SC2016
    apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 2>/dev/null | awk -v suite="$1" '$1 == suite { print $2; exit }'
}

make_base() {
    command -v debootstrap >/dev/null || {
        apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install debootstrap
    } >build/root.log 2>&1 || die "debootstrap cannot be installed: see build/root.log."
    # shellcheck disable=SC1091
    here=$(. /etc/os-release && echo "$VERSION_CODENAME")
    archive=$(mirror "$here") security=$(mirror "$here-security")
    rm -rf "$base.new"
    echo "Making a minimal Debian $suite in $base" >&2
    # shellcheck disable=SC2086
    debootstrap --variant=minbase --include=git,make,python3,sudo "$suite" "$base.new" $archive >build/root.log 2>&1 ||
        die "debootstrap failed: see build/root.log."
    [ -z "$archive" ] || {
        echo "deb $archive $suite main"
        echo "deb $archive $suite-updates main"
        [ -z "$security" ] || echo "deb $security $suite-security main"
    } >"$base.new/etc/apt/sources.list"
    chroot "$base.new" useradd --create-home --shell /bin/bash user
    echo 'user ALL=(ALL) NOPASSWD: ALL' >"$base.new/etc/sudoers.d/user"
    rm -rf "$base"
    mv "$base.new" "$base"
    touch "$base"
}

if [ -z "${INSIDE:-}" ]; then
    [ "$(id -u)" -eq 0 ] || die "only root can make one."
    for each in git unshare chroot apt-get; do
        command -v "$each" >/dev/null || die "there is no $each here."
    done
    mkdir -p build "$roots"
    exec 9>"$roots/lock"
    flock 9
    find "$roots" -maxdepth 1 -name 'run.*' -mtime +1 -exec rm -rf --one-file-system {} +
    [ -n "$(find "$base" -maxdepth 0 -mtime -30 2>/dev/null)" ] || make_base
    exec 9>&-
    run=$(mktemp -d "$roots/run.XXXXXX")
    # All mounts and all that is started end with it. It does not listen to signals less than KILL.
    INSIDE=$run unshare --mount --propagation=private --pid --fork --kill-child sh "$0" "$@" &
    inside=$!
    trap 'kill -KILL $inside 2>/dev/null || true; wait; rm -rf --one-file-system "$run"' EXIT
    trap 'exit 1' HUP INT TERM
    wait $inside
    exit
fi
shift 2
root=$INSIDE/root
mkdir "$root" "$INSIDE/upper" "$INSIDE/work"
# An overlay of an overlay is not always allowed.
mount -t overlay -o "lowerdir=$base,upperdir=$INSIDE/upper,workdir=$INSIDE/work" root "$root" 2>/dev/null || {
    rmdir "$root"
    cp -a "$base" "$root"
    mount --bind "$root" "$root"
}
mount -t proc proc "$root/proc" || die "this machine does not allow mounts: run it where root may mount."
mount --rbind /dev "$root/dev"

# How this machine gets at packages, in files, because sudo keeps no environment.
cp /etc/resolv.conf /etc/hosts "$root/etc/"
apt-config dump | grep '^Acquire::' >"$root/etc/apt/apt.conf.d/machine" || true
pip_conf=$root/etc/pip.conf
echo '[global]' >"$pip_conf"
for name in index-url trusted-host proxy timeout; do
    eval "value=\${PIP_$(echo $name | tr '[:lower:]-' '[:upper:]_'):-}"
    [ -n "$value" ] || value=$(python3 -m pip config get "global.$name" 2>/dev/null) || true
    [ -n "$value" ] || [ "$name" != proxy ] || value=${https_proxy:-${HTTPS_PROXY:-}}
    [ -z "$value" ] || echo "$name = $value" >>"$pip_conf"
done
if [ -e "$bundle" ]; then
    cp "$bundle" "$root/etc/machine.crt"
    echo 'cert = /etc/machine.crt' >>"$pip_conf"
fi

home=/root
[ "$who" = root ] || home=/home/user
git -c safe.directory='*' clone -q . "$root$home/dane-mailgraph"
[ ! -d dist ] || cp -R dist "$root$home/dane-mailgraph/"
[ "$who" = root ] || chroot "$root" chown -R user:user "$home/dane-mailgraph"
# Not by chroot: in one the kernel makes no user namespaces, which units ask for.
cd "$root"
mkdir .below
pivot_root . .below
umount -l .below
rmdir .below
exec chroot --userspec="$who:$who" --groups= / env -i -C "$home/dane-mailgraph" HOME="$home" LANG=C.UTF-8 \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@" </dev/null
