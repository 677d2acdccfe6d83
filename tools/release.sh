#!/bin/sh
# release.sh PART...: what a release needs, and what fails of it.
# check: whether versions, dates and what is committed agree; says all that does not.
# sdist PYTHON: builds sdist and wheel of what is committed into dist, and runs `make check` from the sdist.
# fresh: both commands of the README, an installation and the Debian package, on fresh minimal Debian 12 and 13, as root
# and as a user with sudo. Only root can.
# tell: the sums of what is in dist, and the commands that are left.
set -eu
version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' dane_mailgraph/__init__.py)

wrong() {
    echo "$*" >&2
    faults=true
}

check() {
    faults=false
    echo "$version" | grep -qxE '[0-9]+\.[0-9]+\.[0-9]+' ||
        wrong "dane_mailgraph/__init__.py has the version '$version': make it MAJOR.MINOR.PATCH."
    grep -qx 'version = attr: dane_mailgraph.__version__' setup.cfg ||
        wrong 'setup.cfg has a version of its own: let it be attr: dane_mailgraph.__version__.'
    grep -q '^project_urls' setup.cfg ||
        wrong 'setup.cfg has no project_urls: name the public address of the source there.'
    read -r _ debian suite _ <debian/changelog
    debian=${debian#(} debian=${debian%)}
    [ "${debian%-*}" = "$version" ] || wrong "debian/changelog is at $debian: add an entry $version-1 with dch."
    [ "$suite" != 'UNRELEASED;' ] || wrong 'debian/changelog says UNRELEASED: finish its entry with dch --release.'
    newest=$(grep -m 1 '^## ' CHANGELOG.md)
    echo "$newest" | grep -qxE "## $version - 20[0-9]{2}-[0-9]{2}-[0-9]{2}" ||
        wrong "CHANGELOG.md begins with '$newest': make it '## $version - $(date +%Y-%m-%d)'."
    changed=$(git status --porcelain)
    [ -z "$changed" ] || wrong "Not committed: $(echo "$changed" | head -n 1 | cut -c 4-), of $(echo "$changed" | wc -l); commit or stash it."
    ! git rev-parse -q --verify "refs/tags/v$version" >/dev/null ||
        wrong "The tag v$version is there already: raise __version__ in dane_mailgraph/__init__.py."
    ! $faults
}

sdist() {
    rm -rf build/release dist/*.tar.gz dist/*.whl
    mkdir -p build/release dist
    git archive --prefix=source/ HEAD | tar -x -C build/release
    "$1" -m build -o dist build/release/source >build/sdist.log 2>&1 || {
        echo 'sdist and wheel cannot be built: see build/sdist.log.' >&2
        exit 1
    }
    "$1" -m twine check --strict dist/*.tar.gz dist/*.whl
    tar -xzf "dist/dane_mailgraph-$version.tar.gz" -C build/release
    make -C "build/release/dane_mailgraph-$version" check
    rm -rf build/release
}

fresh() {
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
        sh tools/root.sh $suite root sh -euc 'sh tools/deb.sh try; sh tools/deb.sh boot'
    done
}

tell() {
    (cd dist && sha256sum -- *"$version"* >SHA256SUMS && cat SHA256SUMS)
    cat <<END
All is well. What is left, with your key:
  git tag -s v$version -m 'dane-mailgraph $version' && git tag -v v$version
  gpg --armor --detach-sign dist/SHA256SUMS
  git push origin v$version
  $1 -m twine upload dist/*.tar.gz dist/*.whl
END
}

part=$1
shift
"$part" "$@"
