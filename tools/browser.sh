#!/bin/sh
# browser.sh FOLDER
# Installs what the tests in a browser need, where it is missing: chromium, and axe-core into FOLDER.
set -u
folder=$1

die() {
    echo "$*" >&2
    exit 1
}

packages=''
command -v chromium >/dev/null || command -v chromium-browser >/dev/null || packages='chromium fonts-dejavu-core'
command -v npm >/dev/null || packages="$packages npm"
if [ -n "$packages" ]; then
    command -v apt-get >/dev/null || die "Missing and not to be installed from here, because there is no apt-get:$packages; install it your way, then run make again."
    sudo=''
    [ "$(id -u)" -eq 0 ] || sudo=sudo
    mkdir -p build
    echo "Installing$packages"
    # shellcheck disable=SC2086
    $sudo env DEBIAN_FRONTEND=noninteractive sh -c \
        'apt-get -q update; exec apt-get -q -y --no-install-recommends -o DPkg::Lock::Timeout=300 install "$@"' sh $packages \
        >build/browser.log 2>&1 || die "Cannot install $packages: see what apt-get says in build/browser.log, mend it, then run make again."
fi
mkdir -p "$folder" || die "Cannot make $folder: make its parent yours with chown."
npm install --prefix "$folder" --no-save --no-audit --no-fund --loglevel=error axe-core@4 >build/browser.log 2>&1 ||
    die "Cannot install axe-core: see what npm says in build/browser.log, mend it, then run make again."
