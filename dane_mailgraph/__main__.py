"""`dane-mailgraph`, and `python -m dane_mailgraph`."""

import sys

_PACKAGES = {"dns": ("dnspython", "dnspython"), "rrdtool": ("rrdtool", "rrdtool-bindings")}
"""Module -> what brings it: of Debian, without `python3-`, and of PyPI; elsewhere all three have one name."""


def main() -> int:
    """Run the command line; its exit status. Ctrl-C ends it quietly, also while the rest of the program is loaded."""
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
            f"dane-mailgraph: The Python package {package} is missing; on Debian run `apt install python3-{debian}`, elsewhere "
            f"`{sys.executable} -m pip install {pypi}`.",
            file=sys.stderr,
        )
        return 1


if __name__ == "__main__":
    sys.exit(main())
