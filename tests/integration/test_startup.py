"""The package must stay light to import and the help quick to read; measured in fresh processes."""

import subprocess
import sys


def seconds(code):
    """The best of three fresh interpreters, as they time themselves; a loaded machine can only make it slower."""
    script = f"import time; t = time.perf_counter(); {code}; print(time.perf_counter() - t)"
    return min(float(subprocess.check_output([sys.executable, "-c", script]).split()[-1]) for _ in range(3))


def test_import_is_light():
    assert seconds("import hawkeye") < 0.05


def test_import_brings_no_heavy_package():
    code = "import hawkeye, sys; print([m for m in ('torch', 'numpy', 'av', 'typer') if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_help_is_quick():
    code = "from hawkeye.cli.main import main\ntry: main(['--help'])\nexcept SystemExit: pass"
    assert seconds(f"exec({code!r})") < 0.5
