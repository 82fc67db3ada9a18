"""Commands answer bad input with one sentence and exit code 2."""

from pathlib import Path

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


def test_a_path_that_cannot_be_used_is_named_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    absent, folder = tmp_path / "absent" / "x", tmp_path / "folder"
    for command, path, reason in (
        (absent.with_suffix(".partial").touch, absent, "No such file or directory"),
        (lambda: (tmp_path / "file").rename(folder), folder, "Is a directory"),
    ):
        with pytest.raises(SystemExit):
            run_command("agents.tuning", command)
        assert capsys.readouterr().err == (
            f"agents.tuning: {path} cannot be used: expected a path that can be read or written, "
            f"got {reason}\n"
        )


def test_other_errors_are_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        run_command("agents.tuning", lambda: 1 / 0)
