"""A file of settings: below the environment, above the defaults."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.settings import SettingsError, read
from forwarder.settings import ForwarderSettings
from testing.services.process import ROOT

CANARY = "canary-in-a-coal-mine"


def write(folder: Path, content: str) -> str:
    file = folder / "device.env"
    file.write_text(content)
    return str(file)


def test_the_file_gives_what_the_environment_does_not_set(tmp_path: Path) -> None:
    file = write(tmp_path, "# a comment\n\nDEVICE=box-1\nCLOUD_HOST=x\n")
    settings = read(ForwarderSettings, {"SETTINGS_FILE": file, "CLOUD_HOST": "y", "DEVICE": ""})
    assert (settings.device, settings.cloud_host) == ("box-1", "y")


def test_a_file_may_name_settings_of_other_services(tmp_path: Path) -> None:
    file = write(tmp_path, "CLOUD_HOST=x\nCOS_BUCKET=faces\n")
    assert read(ForwarderSettings, {"SETTINGS_FILE": file}).cloud_host == "x"


def test_an_empty_file_sets_nothing() -> None:
    environ = {"SETTINGS_FILE": "/dev/null", "CLOUD_HOST": "x"}
    assert read(ForwarderSettings, environ).cloud_host == "x"


@pytest.mark.parametrize("line", [CANARY, f"device={CANARY}", f"export DEVICE={CANARY}"])
def test_a_line_that_is_no_setting_is_named_and_not_shown(tmp_path: Path, line: str) -> None:
    file = write(tmp_path, f"CLOUD_HOST=x\n{line}\n")
    with pytest.raises(SettingsError) as caught:
        read(ForwarderSettings, {"SETTINGS_FILE": file})
    first = caught.value.problems[0]
    assert first == f"SETTINGS_FILE must have NAME=VALUE on each line: line 2 of {file} has not"
    assert CANARY not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        read(ForwarderSettings, {"SETTINGS_FILE": str(tmp_path / "none"), "CLOUD_HOST": "x"})
    (problem,) = caught.value.problems
    assert problem.startswith("SETTINGS_FILE cannot be read: ")
    assert str(tmp_path / "none") in problem


def test_the_repositorys_own_file_for_no_settings_sets_nothing() -> None:
    """The compose file mounts it where a device's settings are all in `.env`."""
    environ = {"SETTINGS_FILE": str(ROOT / "secrets" / "README"), "CLOUD_HOST": "x"}
    assert read(ForwarderSettings, environ) == read(ForwarderSettings, {"CLOUD_HOST": "x"})
