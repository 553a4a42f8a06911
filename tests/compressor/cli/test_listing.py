"""Every command fills the names that are registered into its help."""

import pytest
import typer
from typer.testing import CliRunner

from compressor.cli import app
from compressor.cli.listing import Listing

COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", COMMANDS)
def test_no_place_for_names_is_left_in_a_help_text(name: str) -> None:
    assert isinstance(COMMANDS[name], Listing), "register the command with cls=Listing"
    text = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "200"}).stdout
    options = [line for line in text.splitlines() if " --" in line]
    assert options
    assert not any("{" in line for line in options)
