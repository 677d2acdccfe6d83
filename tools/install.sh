#!/bin/sh
# install.sh install|uninstall PYTHON PREFIX
# Everything that an operator needs, from this checkout; may be repeated, also to upgrade. What the operator
# may have changed (the configuration, drop-ins of units) and the data are never touched.
set -eu
what=$1 python=$2 prefix=${3%/}
user=dane-mailgraph conf=/etc/dane-mailgraph.conf share=/usr/local/share
command=$prefix/bin/dane-mailgraph link=/usr/local/bin/dane-mailgraph cron=/etc/cron.d/dane-mailgraph
fish=fish/vendor_completions.d/dane-mailgraph.fish
units='dane-mailgraph.service dane-mailgraph-render.service dane-mailgraph-render.timer
    dane-mailgraph-check.service dane-mailgraph-check.timer
    dane-mailgraph-ship.service dane-mailgraph-ship.timer
    dane-mailgraph-probe.service dane-mailgraph-probe.timer'
# For one host of many, whose settings are in $conf_folder/NAME.conf: the same units, as templates.
conf_folder=/etc/dane-mailgraph
template() {
    echo "${1%.*}@.${1##*.}"
}
umask 022

die() {
    echo "$*" >&2
    exit 1
}

systemd_runs() {
    command -v systemctl >/dev/null && [ -d /run/systemd/system ]
}

[ "$(id -u)" -eq 0 ] || die "Only root can $what it for all of the machine: run it with sudo, or as root."
case $prefix in
*[!A-Za-z0-9/._+-]* | *..*) die "PREFIX=$prefix does not do for a unit: name a plain path, such as /opt/dane-mailgraph." ;;
/home/* | /root/* | /run/* | /tmp/* | /var/*) die "PREFIX=$prefix is where the service may not look or run anything: use /opt/dane-mailgraph." ;;
/?*/?*) ;;
*) die "PREFIX=$prefix is no folder to be given away as a whole: use /opt/dane-mailgraph." ;;
esac
# The folder belongs to us as a whole, and is removed as a whole.
if [ -e "$prefix" ] && ! [ -e "$prefix/pyvenv.cfg" ] && ! { [ -d "$prefix" ] && [ -z "$(ls -A "$prefix")" ]; }; then
    die "PREFIX=$prefix holds something else: name a folder that is not there yet."
fi

if [ "$what" = uninstall ]; then
    if systemd_runs; then
        # shellcheck disable=SC2086
        systemctl --quiet disable --now $units 2>/dev/null || true
        # A unit that has failed would stay, as not-found.
        # shellcheck disable=SC2086
        systemctl reset-failed $units 2>/dev/null || true
        for unit in $units; do
            systemctl --quiet disable "$(template "$unit")" 2>/dev/null || true
            systemctl stop "${unit%.*}@*.${unit##*.}" 2>/dev/null || true
            systemctl reset-failed "${unit%.*}@*.${unit##*.}" 2>/dev/null || true
        done
    fi
    for unit in $units; do
        rm -f "/etc/systemd/system/$unit" "/etc/systemd/system/$(template "$unit")"
    done
    if systemd_runs; then
        systemctl daemon-reload
    fi
    rm -f "$cron" /var/lib/systemd/timers/stamp-dane-mailgraph-render.timer /var/lib/systemd/timers/stamp-dane-mailgraph-check.timer \
        /var/lib/systemd/timers/stamp-dane-mailgraph-probe.timer \
        /var/lib/systemd/timers/stamp-dane-mailgraph-*@*.timer "$share/man/man8/dane-mailgraph.8" "$share/man/man5/dane-mailgraph.conf.5" \
        "$share/bash-completion/completions/dane-mailgraph" "$share/zsh/site-functions/_dane-mailgraph" \
        "$share/$fish" /etc/fish/completions/dane-mailgraph.fish
    [ "$(readlink "$link")" != "$command" ] || rm -f "$link"
    rm -rf "$prefix"
    echo "Removed. Left are the counts in /var/lib/dane-mailgraph, the pages in /var/cache/dane-mailgraph, $conf, $conf_folder and the user $user."
    exit
fi

command -v "$python" >/dev/null || die "There is no $python: install Python 3.10 or later, or name another one with make PYTHON=..."
home=$("$python" -c 'import os, sys; print(os.path.realpath(sys.base_prefix))')
case $home in
/home/* | /root/* | /run/* | /tmp/* | /var/*) die "$python lives in $home, where the service may not look: name one of the system's, make PYTHON=/usr/bin/python3 install." ;;
esac

# What an older build has left in the checkout would be installed with this one.
rm -rf build/lib build/bdist.*
ready=$prefix/for-$("$python" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])')
sh tools/setup.sh "$python" "$prefix" "$ready" completions

if ! getent passwd "$user" >/dev/null; then
    useradd --system --user-group --home-dir /var/lib/dane-mailgraph --no-create-home \
        --shell "$(command -v nologin || echo /bin/false)" --comment 'dane-mailgraph' "$user"
fi
# On Debian adm reads /var/log/mail.log; systemd-journal reads the journal.
groups=
for group in adm systemd-journal; do
    if getent group "$group" >/dev/null; then
        usermod --append --groups "$group" "$user"
        groups="$groups${groups:+ }$group"
    fi
done
group=$(id -gn "$user")
# The page is for a web server; the counts name the servers that mail goes to, which is private.
[ -d /var/lib/dane-mailgraph ] || install -d -m 750 -o "$user" -g "$group" /var/lib/dane-mailgraph
for folder in /var/cache/dane-mailgraph /var/cache/dane-mailgraph-matplotlib; do
    [ -d "$folder" ] || install -d -m 755 -o "$user" -g "$group" "$folder"
done

mkdir -p "$conf_folder"
if ! [ -e "$conf" ]; then
    env -i PATH="$PATH" "$command" config --config /dev/null >"$conf.new"
    mv "$conf.new" "$conf"
fi

put() {
    mkdir -p "$(dirname "$2")"
    sed -e "s|/opt/dane-mailgraph/|$prefix/|g" -e "s|^SupplementaryGroups=.*|SupplementaryGroups=$groups|" "$1" >"$2.new"
    chmod 644 "$2.new"
    mv "$2.new" "$2"
}
for unit in $units; do
    put "systemd/$unit" "/etc/systemd/system/$unit"
    sed -f tools/template.sed "/etc/systemd/system/$unit" >"/etc/systemd/system/$(template "$unit").new"
    mv "/etc/systemd/system/$(template "$unit").new" "/etc/systemd/system/$(template "$unit")"
done
# cron takes no file with a dot in its name, so the new one does no harm meanwhile.
[ ! -d /etc/cron.d ] || put cron/dane-mailgraph "$cron"
put man/dane-mailgraph.8 "$share/man/man8/dane-mailgraph.8"
put man/dane-mailgraph.conf.5 "$share/man/man5/dane-mailgraph.conf.5"
"$prefix/bin/python" tools/completions.py "$share"
# fish looks below /usr/local only where XDG_DATA_DIRS says so.
[ ! -d /etc/fish/completions ] || ln -sf "$share/$fish" /etc/fish/completions/
mkdir -p "$(dirname "$link")"
if [ ! -e "$link" ] || [ -L "$link" ]; then
    ln -sfn "$command" "$link"
fi
if systemd_runs; then
    systemctl daemon-reload
fi
# What runs with its older configuration goes on.
log=$(env -i PATH="$PATH" "$command" config) || die "It is installed in $prefix but would not start: mend what the lines above say, then run make install again."
if systemd_runs; then
    systemctl try-restart dane-mailgraph.service 'dane-mailgraph@*.service' || echo 'The service did not start again: see systemctl status dane-mailgraph.'
fi

echo "Installed in $prefix; its settings are in $conf."
log=$(echo "$log" | sed -n 's/^\(# \)\{0,1\}log = //p')
case $log in
auto | journal) ;;
*) [ -z "$log" ] || [ -e "$log" ] || echo "There is no $log here: set log in $conf to the file that Postfix logs to, or to journal." ;;
esac
echo 'To start it:'
echo '  systemctl enable --now dane-mailgraph.service'
echo '  systemctl enable --now dane-mailgraph-render.timer'
