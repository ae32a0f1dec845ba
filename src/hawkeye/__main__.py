"""``python -m hawkeye`` is the ``hawkeye`` command."""

from hawkeye.cli.main import main

if __name__ == "__main__":
    main()
