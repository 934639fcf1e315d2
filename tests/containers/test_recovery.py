"""Restarted, killed, many: what people and machines do to containers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from testing.host.wait import until
from tests.containers.compose import Project
from tests.containers.stack import Stack

STORED = "facepipe_processor_faces_stored_total"


@pytest.fixture
def playing(stack: Stack) -> Iterator[Stack]:
    """Faces come all the time; in the end, each that ever came is in the bucket."""
    stack.plays(loop=True)
    yield stack
    stack.plays(loop=False)
    stack.check()


def services(stack: Stack) -> list[tuple[Project, str]]:
    here = [(project, found.service) for project in stack.projects for found in project.all()]
    assert len(here) == 6
    return here


def recovers(stack: Stack) -> None:
    """All are healthy, and a face that is captured now arrives."""
    for project in stack.projects:
        for container in project.all():
            container.becomes_healthy()
    stack.captures(5)
    confirmed = stack.books()["confirmed"]
    until(lambda: stack.books()["confirmed"] > confirmed, 60, "a face arrives")


def test_each_container_can_be_restarted(playing: Stack) -> None:
    for project, service in services(playing):
        project("restart", service)
        recovers(playing)


def test_both_projects_can_be_restarted_at_once(playing: Stack) -> None:
    for project in playing.projects:
        project("restart")
    recovers(playing)


def test_each_container_comes_back_when_it_is_killed(playing: Stack) -> None:
    for project, service in services(playing):
        project.one(service).kill()
        recovers(playing)


def test_after_down_and_up_the_faces_that_wait_are_there(playing: Stack) -> None:
    playing.cloud("stop")
    before = playing.books()["waiting"]
    until(lambda: playing.books()["waiting"] > before + 20, 60, "faces wait")
    playing.jetson("down")
    playing.cloud.up()
    playing.jetson.up()
    recovers(playing)


def test_three_processors_share_the_work(playing: Stack) -> None:
    playing.cloud.up("--scale", "processor=3")
    three = playing.cloud.all("processor")
    assert len(three) == 3
    until(lambda: all(one.metric(STORED) > 5 for one in three), 90, "each stores some")
    playing.cloud.up("--scale", "processor=1")
    assert len(playing.cloud.all("processor")) == 1
