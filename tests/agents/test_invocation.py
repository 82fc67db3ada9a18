"""Commands answer bad input with one sentence and exit code 2."""

import pytest

from agents.invocation import run_command


def test_bad_input_is_answered_with_one_sentence_and_exit_code_two(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refuse() -> None:
        raise ValueError("p=2 is out of range: expected a number from 0 to 1, got 2")

    with pytest.raises(SystemExit) as exited:
        run_command("agents.tuning", refuse)
    assert exited.value.code == 2
    said = "agents.tuning: p=2 is out of range: expected a number from 0 to 1, got 2\n"
    assert capsys.readouterr() == ("", said)


def test_other_errors_are_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        run_command("agents.tuning", lambda: 1 / 0)
