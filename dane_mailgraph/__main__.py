"""`dane-mailgraph`, and `python -m dane_mailgraph`."""

import sys


def main() -> int:
    """Run the command line; its exit status. Ctrl-C ends it quietly, also while the rest of the program is loaded."""
    try:
        from .cli import main as command_line

        return command_line()
    except KeyboardInterrupt:
        return 130  # 128 + SIGINT


if __name__ == "__main__":
    sys.exit(main())
