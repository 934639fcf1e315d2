"""Settings: all that is wrong at once, by name, before any work; secrets never shown."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from common import settings as s
from common.service_settings import ServiceSettings
from common.settings import SettingsError, format_settings, read, setting, star_url
from detector.settings import DetectorSettings as DetectorSettings
from forwarder.settings import ForwarderSettings as ForwarderSettings
from testing.services.process import Service

CANARY = "canary-in-a-coal-mine"


@dataclasses.dataclass(frozen=True)
class Sample:
    host: str = setting("HOST", s.text, "where it is")
    port: int = setting("PORT", s.integer(1, 65535), "its port", default=80)
    password: str = setting("PASSWORD", s.text, "to get in", default="", secret=True)
    source: str = setting("SOURCE", s.text, "a URL", default="", secret=True, show=s.star_url)

    def problems(self) -> Iterator[str]:
        if self.port == 81:
            yield "PORT is not to be 81"


def problems(environ: dict[str, str], cls: type = Sample) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        read(cls, environ)
    return caught.value.problems


def test_values_and_defaults_are_read() -> None:
    assert read(Sample, {"HOST": "h"}) == Sample("h", 80, "", "")


def test_an_empty_variable_counts_as_not_set() -> None:
    assert read(Sample, {"HOST": "h", "PORT": ""}).port == 80
    assert problems({"HOST": ""}) == ["HOST is not set: where it is"]


def test_everything_that_is_wrong_is_reported_at_once() -> None:
    found = problems({"PORT": "http", "PASSWORD": "a", "PASSWORD_FILE": "b"})
    assert [line.split()[0] for line in found] == ["HOST", "PORT", "PASSWORD"]
    assert found[1] == "PORT must be a whole number from 1 to 65535 (it is 'http'): its port"


def test_a_refused_value_shows_no_password_of_a_url() -> None:
    (found,) = problems({"HOST": "h", "PORT": f"mqtt://user:{CANARY}@host:1883?token={CANARY}"})
    assert "(it is ***)" in found
    assert CANARY not in found


def test_checks_across_settings_are_reported_too() -> None:
    assert problems({"PORT": "81"}) == ["HOST is not set: where it is", "PORT is not to be 81"]


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{CANARY}\n")
    assert read(Sample, {"HOST": "h", "PASSWORD_FILE": str(file)}).password == CANARY


@pytest.mark.parametrize("content", [None, b"", b" \n", b"\xff\xfe"])
def test_a_secret_file_that_cannot_be_used_is_named(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    (found,) = problems({"HOST": "h", "PASSWORD_FILE": str(file)})
    assert found.startswith("PASSWORD ")
    assert f"PASSWORD_FILE={file}" in found


def test_a_secret_whose_file_is_dev_null_counts_as_not_set() -> None:
    assert read(Sample, {"HOST": "h", "PASSWORD_FILE": "/dev/null"}).password == ""
    sample = read(Sample, {"HOST": "h", "PASSWORD": CANARY, "PASSWORD_FILE": "/dev/null"})
    assert sample.password == CANARY


def test_only_secrets_are_read_from_files(tmp_path: Path) -> None:
    assert problems({"HOST_FILE": str(tmp_path)}) == ["HOST is not set: where it is"]


def test_secrets_are_starred_where_settings_are_shown() -> None:
    sample = Sample("h", 80, CANARY, f"rtsp://user:{CANARY}@cam/1?key={CANARY}")
    assert format_settings(sample) == "HOST=h PORT=80 PASSWORD=*** SOURCE=rtsp://***@cam/1?***"
    assert "PASSWORD=-" in format_settings(Sample("h", 80, "", ""))


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        ("rtsp://u:p@cam:554/a", "rtsp://***@cam:554/a"),
        ("http://cam/a?token=x", "http://cam/a?***"),
        ("http://u:p@w@cam/", "http://***@cam/"),
        ("/dev/video0", "/dev/video0"),
        ("0", "0"),
    ],
)
def test_a_url_is_seen_without_its_secrets(url: str, seen: str) -> None:
    assert star_url(url) == seen


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (s.integer(0, 9), "+7", 7),
        (s.integer(-5, 5), "-5", -5),
        (s.number(0, 1), "0.5", 0.5),
        (s.number(0, 1), "1e-1", 0.1),
        (s.boolean, "Yes", True),
        (s.boolean, "0", False),
        (s.choice("a", "b"), "b", "b"),
        (s.name, "box-1", "box-1"),
        (s.name, "unknown-2", "unknown-2"),
        (s.file, __file__, __file__),
    ],
)
def test_good_values_are_parsed(parse: s.Parser, text: str, value: Any) -> None:
    assert parse(text) == value


@pytest.mark.parametrize(
    ("parse", "texts"),
    [
        (s.integer(0, 9), ["10", "-1", "1.0", "0x1", "", " 1", "\u0661", "1_0"]),
        (s.number(0, 1), ["nan", "inf", "-0.1", "1.1", "a", ""]),
        (s.boolean, ["2", "", "ja"]),
        (s.choice("a", "b"), ["A", "c", ""]),
        (s.name, ["unknown", "rejected", "-a", "A", "a_b", "a.b", "a" * 64, "", "a\n", "a/b"]),
        (s.file, ["/nowhere", "/", ""]),
    ],
)
def test_bad_values_are_refused(parse: s.Parser, texts: list[str]) -> None:
    for text in texts:
        with pytest.raises(ValueError, match="must "):
            parse(text)


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"MQTT_TOPIC": "faces/#"}, "MQTT_TOPIC must be a topic: no + or #"),
        ({"MQTT_TOPIC": "/faces"}, "MQTT_TOPIC must be a topic: no + or #"),
        ({"MQTT_TOPIC": "$share/x/faces"}, "MQTT_TOPIC must be a topic: no + or #"),
        ({"MQTT_PASSWORD": "x"}, "MQTT_PASSWORD needs MQTT_USERNAME"),
        ({"MQTT_CERT": __file__}, "MQTT_CERT and MQTT_KEY need MQTT_CA"),
        ({"MQTT_CA": "/nowhere"}, "MQTT_CA must name a file that can be read"),
        ({"MQTT_CA": __file__}, "MQTT_CA, _CERT, _KEY: cannot be used for TLS"),
        ({"MQTT_QOS": "2"}, "MQTT_QOS must be a whole number from 0 to 1"),
        ({"DEVICE": "unknown"}, "DEVICE must be 1 to 63 characters of a-z"),
        ({"CLOUD_TOPIC": "faces/from/+"}, "CLOUD_TOPIC must be a topic: no + or #"),
        ({"MQTT_TOPIC": "f\udcff"}, "MQTT_TOPIC is not valid UTF-8"),
        ({"MQTT_HOST": " 127.0.0.1"}, "MQTT_HOST must be a host name or an address"),
        ({"CLOUD_HOST": "a..b"}, "CLOUD_HOST must be a host name or an address"),
        ({"CLOUD_PORT": "0"}, "CLOUD_PORT must be a whole number from 1 to 65535"),
        ({"CLOUD_HOST": ""}, "CLOUD_HOST is not set"),
        ({"CLOUD_BUNDLE": __file__, "CLOUD_CA": __file__}, "CLOUD_BUNDLE contains all three"),
        ({"MQTT_BUNDLE": __file__, "MQTT_KEY": __file__}, "MQTT_BUNDLE contains all three"),
        ({"MQTT_BUNDLE": __file__}, "MQTT_BUNDLE: cannot be used for TLS"),
        ({"MQTT_BUNDLE": "/nowhere"}, "MQTT_BUNDLE must name a file that can be read"),
        ({"CLOUD_CA": __file__, "CLOUD_KEY": __file__}, "CLOUD_KEY needs CLOUD_CERT"),
        ({"BUFFER_MAX_MB": "0"}, "BUFFER_MAX_MB must be a whole number from 1 to 4096"),
        ({"CLOUD_HOST": "127.0.0.1", "CLOUD_PORT": "1883"}, "name the same broker"),
    ],
)
def test_a_wrong_setting_of_the_forwarder_is_named(environ: dict[str, str], words: str) -> None:
    found = problems({"CLOUD_HOST": "cloud", **environ}, ForwarderSettings)
    assert any(words in line for line in found), found


def test_a_file_that_may_not_be_read_names_setting_user_and_remedy() -> None:
    with tempfile.NamedTemporaryFile() as file, another_user(Path(file.name)) as user:
        environ = {"HOST": "h", "PASSWORD_FILE": file.name}
        (password,) = problems(environ)
        (bundle,) = problems({"CLOUD_HOST": "h", "MQTT_BUNDLE": file.name}, ForwarderSettings)
        (settings,) = problems({"HOST": "h", "SETTINGS_FILE": file.name})
    named = ((password, "PASSWORD"), (bundle, "MQTT_BUNDLE"), (settings, "SETTINGS_FILE"))
    for problem, name in named:
        assert problem.startswith(f"{name} cannot be read by user {user}: Permission denied; make")
        assert "on the host: chmod a+r, in a folder of mode 700" in problem
        assert file.name in problem


@contextlib.contextmanager
def another_user(path: Path) -> Iterator[int]:
    """One who may not read a file, as a container's user may not read one of the host's."""
    was = os.geteuid()
    path.chmod(0o600 if was == 0 else 0)
    os.seteuid(10001 if was == 0 else was)
    try:
        yield os.geteuid()
    finally:
        os.seteuid(was)


def test_every_setting_says_what_it_means() -> None:
    for cls in (ServiceSettings, ForwarderSettings):
        for _, spec in s.iterate_specs(cls):
            assert re.fullmatch("[A-Z][A-Z0-9_]+", spec.name)
            assert len(spec.meaning) > 8


def test_a_service_with_wrong_settings_ends_with_2_and_one_line_for_each() -> None:
    with Service("forwarder", MQTT_PORT="x", BUFFER_MAX_MB="-1") as service:
        assert service.wait() == 2
        lines = service.log.splitlines()
    named = [line.removeprefix("forwarder: ").split()[0] for line in lines]
    assert named == ["MQTT_PORT", "CLOUD_HOST", "BUFFER_MAX_MB"]


def test_the_effective_settings_are_logged_once_without_secrets(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(CANARY)
    secrets = {"MQTT_USERNAME": "u", "MQTT_PASSWORD": CANARY, "CLOUD_PASSWORD_FILE": file}
    with Service("forwarder", CLOUD_HOST="127.0.0.1", CLOUD_PORT=1, **secrets) as service:
        service.says("cloud broker .*trying again")
        service.says("edge broker .*trying again")
        assert service.stop() == 0
        log = service.log
    assert log.count("CLOUD_PASSWORD=*** ") == log.count("MQTT_PASSWORD=*** ") == 1
    assert CANARY not in log


def test_help_tells_of_every_setting() -> None:
    service = Service("forwarder")
    service.command.append("--help")
    with service:
        assert service.wait() == 0
        text = service.log
    for _, spec in s.iterate_specs(ForwarderSettings):
        assert re.search(rf"^  {spec.name} +\S.*\((required|default: )", text, re.MULTILINE)
    assert "also CLOUD_PASSWORD_FILE" in text


def test_defaults_are_shown_as_a_person_would_write_them() -> None:
    shown_as = {
        spec.name: spec.plain(spec.default) for _, spec in s.iterate_specs(DetectorSettings)
    }
    expected = {
        "MQTT_QOS": "0",
        "MQTT_BUNDLE": "-",
        "CAMERA_SIZE": "-",
        "CAMERA_FPS": "-",
        "CAMERA_LOOP": "0",
        "CAMERA_TIMEOUT": "10",
        "MASK": "-",
        "CASCADE": "haarcascade_frontalface_alt2",
        "SCALE_FACTOR": "1.1",
    }
    assert {name: shown_as[name] for name in expected} == expected
