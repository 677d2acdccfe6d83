#!/bin/sh
# setup.sh PYTHON VENV READY EXTRAS [PIP-ARGUMENT...]
# Installs what is missing, then this checkout with EXTRAS into VENV. READY is a directory inside VENV that names the
# interpreter and the place. Debian's own Python takes Debian's packages, another one takes the package index's.
set -u
python=$1 venv=$2 ready=$3 extras=$4
shift 4
log=$PWD/build/setup.log

# What setup.cfg asks for. fonttools, which matplotlib needs, takes scipy and with it a compiler where munkres is not named.
debian='python3-venv python3-setuptools python3-wheel python3-rrdtool python3-pygtail python3-matplotlib python3-munkres
    python3-jinja2 python3-zstandard python3-dnspython tzdata'

die() {
    echo "$*" >&2
    exit 1
}

# said PATTERN: whether the tool that failed said so
said() {
    tail -n +"$mark" "$log" | grep -qE "$1"
}

# Python's venv does not pass on why it fails.
full() {
    said 'No space left|not have enough free space' || [ "$(df -Pk "$(dirname "$1")" | awk 'NR == 2 { print $4 }')" -lt 1000 ]
}

# logged COMMAND...: run it with its output in the log, and say every few seconds how far it is.
logged() {
    mark=$(($(wc -l <"$log") + 1))
    (
        before=
        while sleep 5 >/dev/null && kill -0 $$ 2>/dev/null; do
            now=$(tail -n +"$mark" "$log" | tr '\r' '\n' | grep -vE '^[^[:alpha:]]*$' | tail -n 1 | cut -c -100)
            [ "$now" = "$before" ] || echo "| $now"
            before=$now
        done
    ) 2>/dev/null &
    teller=$!
    "$@" >>"$log" 2>&1
    set -- $?
    kill $teller
    return "$1"
}

no_network='Temporary failure|Could not resolve|Could not connect|Cannot initiate the connection|Failed to establish|NameResolution|Network is unreachable|Max retries|Connection refused|[Cc]onnection timed out|ConnectTimeout|ProxyError|SSLError'

{ mkdir -p build && true >"$log"; } 2>/dev/null || die "Cannot write $log: make it yours with chown, or work in a checkout of your own."

command -v "$python" >/dev/null || die "There is no $python: install Python 3.10 or later, or name another one with make PYTHON=..."
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' >>"$log" 2>&1 ||
    die "$python is $("$python" -V 2>&1), we need 3.10 or later: name another one with make PYTHON=..."
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
base='import os, sys; print(os.path.realpath(sys.base_prefix), sys.version)'
# A Python that is not the distribution's own does not see its packages.
distribution=false
if command -v apt-get >/dev/null && dpkg -S /usr/bin/python3 >>"$log" 2>&1 && [ "$("$python" -c "$base")" = "$(/usr/bin/python3 -c "$base")" ]; then
    distribution=true
fi

# A venv of another interpreter or of another place would not run, or run another checkout.
{ [ -d "$ready" ] && grep -qx "include-system-site-packages = $distribution" "$venv/pyvenv.cfg"; } ||
    rm -rf "$venv" || die "Cannot remove $venv: make it yours with chown."

# What is missing, as Debian calls it, and in words. The binding of rrdtool is the one package to be compiled.
packages='' words=''
missing() {
    packages="$packages $1" words="$words${words:+, }$2"
}
if $distribution; then
    for package in $debian; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing "$package" "$package"
    done
else
    [ -d "$venv" ] || "$python" -c 'import ensurepip, venv' 2>>"$log" || missing "python$version-venv" "Python's venv module"
    if ! "$venv/bin/python" -c 'import rrdtool' 2>/dev/null; then
        cc=${CC:-$("$python" -c 'import sysconfig; print(sysconfig.get_config_var("CC") or "cc")')}
        header() {
            # shellcheck disable=SC2086
            { printf '#include <%s>\n' "$1" | $cc -E -x c -I/usr/local/include -; } >/dev/null 2>>"$log"
        }
        header stdio.h || missing 'gcc libc6-dev' 'a C compiler'
        "$python" -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' ||
            missing "python$version-dev" "the headers of $python"
        header rrd.h || [ -e /usr/include/rrd.h ] || missing librrd-dev 'the headers of librrd'
    fi
fi

if [ -n "$packages" ] && command -v apt-get >/dev/null; then
    sudo=''
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || die "Cannot install$packages without the right to: as root, run apt-get install$packages, then run make again."
        sudo=sudo
        # Without a terminal there is no way to type the password.
        [ -t 0 ] || sudo='sudo -n'
    fi
    echo "Installing$packages"
    # An update that fails in part may still do; the install tells.
    # shellcheck disable=SC2086,SC2016
    logged $sudo env DEBIAN_FRONTEND=noninteractive sh -c \
        'apt-get -q update; exec apt-get -q -y --no-install-recommends -o DPkg::Lock::Timeout=300 install "$@"' sh $packages || {
        said 'sudo: ' && die "Cannot install$packages without the right to: as root, run apt-get install$packages, then run make again."
        full /var/cache/apt && die "Cannot install$packages, because the disk is full: make room, then run make again (see $log)."
        said "$no_network" && die "Cannot install$packages, because Debian's servers cannot be reached: mend the network, then run make again (see $log)."
        said 'Unable to locate|no installation candidate' &&
            die "Cannot install all of$packages, because apt-get does not know them all: install $words your way, then run make again (see $log)."
        die "Cannot install$packages: see what apt-get says in $log, mend it, then run make again."
    }
elif [ -n "$packages" ]; then
    die "Missing and not to be installed from here, because there is no apt-get: $words; install it with your system's package manager, then run make again."
fi

if ! [ -d "$ready" ]; then
    echo "Making $venv with Python $version"
    inherit=''
    $distribution && inherit=--system-site-packages
    # shellcheck disable=SC2086
    { logged "$python" -m venv $inherit "$venv" && mkdir "$ready" 2>>"$log"; } || {
        full "$venv" && rm -rf "$venv" && die "Cannot make $venv, because the disk is full: make room, then run make again (see $log)."
        rm -rf "$venv"
        die "Cannot make $venv: see what $python says in $log, mend it, then run make again."
    }
fi

# Debian's setuptools builds without asking the package index.
if $distribution; then
    set -- --no-build-isolation "$@"
else
    extras=$extras${extras:+,}rrdtool,tzdata
fi
echo "Installing Python packages into $venv"
logged "$venv/bin/python" -m pip install --disable-pip-version-check --no-input --progress-bar off --retries 2 "$@" ".${extras:+[$extras]}" </dev/null || {
    full "$venv" && die "Cannot install the Python packages, because the disk is full: make room, then run make again (see $log)."
    said "$no_network" && die "Cannot install the Python packages, because the package index cannot be reached: mend the network, then run make again (see $log)."
    said 'rrd.h|Python.h|command .*gcc.* failed|Unable to (compile|link)' &&
        die "Cannot compile the Python package rrdtool-bindings: see what the compiler says in $log, mend it, then run make again."
    die "Cannot install the Python packages: see what pip says in $log, mend it, then run make again."
}
"$venv/bin/python" -c 'import dns, jinja2, matplotlib, pygtail, rrdtool, zstandard' >>"$log" 2>&1 ||
    die "The Python packages are installed but cannot be loaded: see why in $log, then run make clean and make again."
