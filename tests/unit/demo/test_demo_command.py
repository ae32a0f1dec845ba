"""``hawkeye demo``: wrong usage is said before anything is loaded."""

import pytest

from hawkeye.cli.main import main


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--share", "maybe"], "--share is 'maybe': expected on or off"),
        (["--port", "0"], "--port is 0: expected 1 to 65535"),
        (["--max-upload-mb", "0"], "--max-upload-mb is 0: expected 1 or more"),
        (["--model", "nothing"], "--model nothing: no such model or folder. Known models: similarity"),
        (["--model", "similarity=DIR"], "--weights DIR: the model similarity brings its own weights"),
    ],
)
def test_wrong_usage_is_one_line(arguments, message, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["demo", *arguments])
    assert stop.value.code == 2
    assert message in capsys.readouterr().err
