"""`dane-mailgraph`, and `python -m dane_mailgraph`."""

import sys

_PACKAGES = {"dns": ("dnspython", "dnspython"), "rrdtool": ("rrdtool", "rrdtool-bindings")}
"""Module -> its Debian package without `python3-`, and its package of PyPI, where they differ."""


def main() -> int:
    """Run the command line and return its exit status.

    Ctrl-C ends it quietly, also while modules are imported.
    """
    try:
        from .cli import main as command_line

        return command_line()
    except KeyboardInterrupt:
        return 130  # 128 + SIGINT
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", __package__):
            raise
        print(
            f"dane-mailgraph: {sys.executable} has no Python package {package}; "
            f"run {_remedy(package)}.",
            file=sys.stderr,
        )
        return 1


def _remedy(package: str) -> str:
    """Return the command that installs a package where this interpreter looks."""
    debian, pypi = _PACKAGES.get(package, (package, package))
    if "/usr/lib/python3/dist-packages" in sys.path:
        return f"`apt install python3-{debian}`"
    compiled = ", which needs gcc and the headers of Python and librrd"
    return f"`{sys.executable} -m pip install {pypi}`{compiled if package == 'rrdtool' else ''}"


if __name__ == "__main__":
    sys.exit(main())
