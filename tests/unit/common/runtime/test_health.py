"""One health of several parts, such as the cameras of a detector."""

from __future__ import annotations

from common.runtime.health import Health


def test_the_whole_has_the_checks_of_all_parts_by_their_names() -> None:
    health = Health()
    health.part("door").check("camera", "stalled")
    health.part("yard").check("camera", "refused")
    health.check("broker", "absent")
    assert health.reasons() == {
        "camera/door": "stalled",
        "camera/yard": "refused",
        "broker": "absent",
    }


def test_a_part_has_its_own_checks_and_those_of_the_whole() -> None:
    health = Health()
    door, yard = health.part("door"), health.part("yard")
    door.check("camera", "stalled")
    health.check("broker", "absent")
    assert door.reasons() == {"camera": "stalled", "broker": "absent"}
    assert yard.reasons() == {"broker": "absent"}
    door.check("camera", None)
    assert health.reasons() == {"broker": "absent"}


def test_a_loop_of_a_part_that_is_silent_is_stuck_in_the_whole() -> None:
    health = Health(max_silence=-1.0)
    health.part("door").beat("vision")
    assert health.stuck() == ["vision/door"]
    assert health.part("yard").stuck() == []
    health.part("door").rest("vision")
    assert health.stuck() == []
