"""Options that several commands share."""

from typing import Any

import pytest
import tyro

from agents.commands import evaluate, play, train
from agents.commands.options import fields_of


@pytest.mark.parametrize("command", [train, evaluate, play])
def test_a_second_set_adds_to_the_first(command: Any) -> None:
    words = ["--set", "session_steps=240", "data_end=0.7", "--seed", "1", "--set", "latency=0.001"]
    fields = fields_of(tyro.cli(command.Arguments, args=words))
    assert fields == {"session_steps": 240, "data_end": 0.7, "latency": 0.001}
    with pytest.raises(ValueError, match="'latency' is set twice: expected one value"):
        fields_of(tyro.cli(command.Arguments, args=[*words, "--set", "latency=1"]))
    assert fields_of(tyro.cli(command.Arguments, args=[])) == {}
