"""From a shot to a face: PNG bytes and facts."""

from __future__ import annotations

import logging

from common import __version__
from common.protocol import clock
from common.protocol.face import Face, Ids
from detector import metrics
from detector.encoding import crop
from detector.encoding.crop import FaceCrop

log = logging.getLogger(__name__)


class FaceEncoder:
    """Makes faces from shots; not thread-safe."""

    def __init__(self, device: str, camera: str, max_bytes: int) -> None:
        """`max_bytes` is the size of the largest PNG; larger faces are scaled down."""
        self._device = device
        self._camera = camera
        self._max_bytes = max_bytes
        self._ids = Ids()

    def __call__(self, shot: FaceCrop) -> Face | None:
        """The face; None, counted, if OpenCV cannot encode it."""
        try:
            with metrics.ENCODE_SECONDS.labels(self._camera).time():
                png, scale = crop.encode_crop(shot, self._max_bytes, self._texts(shot))
        except crop.CannotEncode as error:
            log.error("lost a face that OpenCV cannot encode: %s", error)
            metrics.ENCODE_FAILURES.labels(self._camera).inc()
            return None
        return Face(png, self._facts(shot, scale))

    def _texts(self, shot: FaceCrop) -> dict[str, str]:
        """Texts inside the PNG, by keywords of the PNG specification."""
        return {
            "Creation Time": clock.to_rfc3339(shot.at),
            "Source": f"{self._device}/{self._camera}",
            "Software": f"facepipe {__version__}",
        }

    def _facts(self, shot: FaceCrop, scale: float) -> dict[str, str]:
        facts = {
            "id": self._ids.next(),
            "device": self._device,
            "camera": self._camera,
            "captured": clock.to_rfc3339(shot.at),
            "clock": clock.judge_clock(shot.at),
            "frame": f"{shot.frame_size[0]}x{shot.frame_size[1]}",
            "face": ",".join(map(str, shot.face)),
            "box": ",".join(map(str, shot.box)),
            "engine": shot.engine,
            "score": f"{shot.score:.3g}",
            "sharpness": f"{shot.sharpness:.1f}",
            "quality": f"{shot.quality:.3f}",
            "track": shot.track,
        }
        if shot.frame_index is not None:
            facts["frame_index"] = str(shot.frame_index)
        if scale != 1.0:
            facts["scale"] = f"{scale:.4f}"
        return facts
