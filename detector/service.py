"""The detector: serves its cameras over one connection to the broker, and runs until stopped."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import cv2

from common.mqtt import Client
from common.runtime import cpus
from common.runtime.health import Health
from common.runtime.workers import Workers
from common.service import FINISH_WITHIN, Service
from common.settings import SettingsError
from detector.camera_settings import CameraSettings
from detector.capture.camera import Camera
from detector.encoding.encoder import FaceEncoder
from detector.preview.pages import serve
from detector.settings import DetectorSettings
from detector.station import Equipment, Shared, Station
from detector.tracking.analyzer import FrameAnalyzer


async def run(settings: DetectorSettings, service: Service) -> int:
    """Detect with the cameras of the settings; return the exit code."""

    def equip(camera: CameraSettings, health: Health) -> Equipment:
        return Equipment(
            Camera(camera.camera_options, service, health),
            lambda: FrameAnalyzer(camera.analyzer_options),
            FaceEncoder(settings.device, camera.camera_name, camera.face_max_kb * 1000),
        )

    return await detect(settings, service, equip)


async def detect(
    settings: DetectorSettings,
    service: Service,
    equip: Callable[[CameraSettings, Health], Equipment],
) -> int:
    """Detect until all files have ended or the service is stopped, then deliver what is captured.

    equip: creates what a camera needs, with its own part of the service's health.
    """
    cameras = settings.cameras
    healths = {
        camera.camera_name: service.health.part(camera.table) if camera.table else service.health
        for camera in cameras
    }
    previews = serve(settings.preview_options, service, healths)
    # The name of the first camera makes it unique among the detectors of a device.
    client_id = f"detector-{settings.device}-{cameras[0].camera_name}"
    client = Client(settings.broker("edge"), client_id, service.health, settings.mqtt_qos)
    cores = cpus.count_cpus()
    cv2.setNumThreads(cores)
    vision = Workers("vision", min(cores, len(cameras)))
    shared = Shared(settings, service, client, vision)
    stations = []
    for camera in cameras:
        name = camera.camera_name
        equipment = equip(camera, healths[name])
        stations.append(Station(shared, camera, equipment, previews[name], healths[name]))
    await _prepare(stations)
    service.spawn(client.keep_up(), "broker")
    await asyncio.gather(*(station.run() for station in stations))
    until = time.monotonic() + FINISH_WITHIN
    await asyncio.gather(*(station.finish(until) for station in stations))
    await client.leave()
    return 0


async def _prepare(stations: list[Station]) -> None:
    """Prepare all.

    Raises:
        SettingsError: with what is wrong with any of them.
    """
    outcomes = await asyncio.gather(*(s.prepare() for s in stations), return_exceptions=True)
    problems: list[str] = []
    for error in outcomes:
        if isinstance(error, SettingsError):
            problems += error.problems
        elif error is not None:
            raise error
    if problems:
        raise SettingsError(problems)
