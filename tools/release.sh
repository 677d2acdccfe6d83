#!/bin/sh
# release.sh: both commands of the README, an installation and the Debian package, on fresh minimal Debian 12 and 13,
# as root and as a user with sudo. Only root can.
set -eu
for suite in bookworm trixie; do
    for who in root user; do
        echo "== $suite, $who: make demo, make test"
        sh tools/root.sh $suite $who make demo test
    done
    echo "== $suite: make install"
    sh tools/root.sh $suite user sh -euc '
        no() {
            echo "It should not be so on a fresh Debian: $*" >&2
            exit 1
        }
        sudo make install
        if command -v cc; then no a compiler; fi
        dane-mailgraph config >/dev/null
        echo step = many | sudo tee /etc/dane-mailgraph.conf >/dev/null
        if sudo make install; then no success with a wrong configuration; fi
        sudo make uninstall
        if command -v dane-mailgraph; then no program after make uninstall; fi'
done
sh tools/deb.sh
for suite in bookworm trixie; do
    echo "== $suite: the package"
    sh tools/root.sh $suite root sh tools/deb.sh try
done
