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
        debian, pypi = _PACKAGES.get(package, (package, package))
        print(
            f"dane-mailgraph: The Python package {package} is missing; on Debian run "
            f"`apt install python3-{debian}`, elsewhere `{sys.executable} -m pip install {pypi}`.",
            file=sys.stderr,
        )
        return 1


if __name__ == "__main__":
    sys.exit(main())
