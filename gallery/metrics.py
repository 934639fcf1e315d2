"""The gallery's metrics."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

REQUESTS = Counter(
    "facepipe_gallery_store_requests_total",
    "Requests to the store, by kind (list, get, head, put, delete, lifecycle).",
    ["kind"],
)
FAILURES = Counter(
    "facepipe_gallery_store_failures_total", "Requests to the store that failed.", ["reason"]
)
INDEXED = Gauge("facepipe_gallery_faces_indexed", "Objects that the index knows.")
ANNOUNCED = Counter(
    "facepipe_gallery_faces_announced_total", "Faces that processors said they have stored."
)
UNREADABLE = Counter(
    "facepipe_gallery_announcements_unreadable_total",
    "Messages on faces/stored that are none, and were passed over.",
)
THUMBS = Counter("facepipe_gallery_thumbnails_made_total", "Thumbnails made.")
NO_THUMBS = Counter(
    "facepipe_gallery_thumbnails_failed_total",
    "Pictures of which no thumbnail can be made, by reason.",
    ["reason"],
)
THUMB_BYTES = Gauge("facepipe_gallery_thumbnails_bytes", "Bytes of thumbnails on disk.")
VIEWERS = Gauge("facepipe_gallery_viewers", "Pages that are open and hear of what is new.")
DELETED = Counter(
    "facepipe_gallery_objects_deleted_total",
    "Objects deleted, by whom: user, retention, or again (deleted before, and sent once more).",
    ["by"],
)
LOGINS = Counter("facepipe_gallery_logins_total", "Users that signed in.")
LOGINS_REFUSED = Counter(
    "facepipe_gallery_logins_refused_total",
    "Tries to sign in that failed, by reason (password, limited).",
    ["reason"],
)
REFUSED = Counter(
    "facepipe_gallery_requests_refused_total",
    "Requests not let through, by reason (signed_out, origin, csrf, read_only, slow, too_large).",
    ["reason"],
)
SESSIONS = Gauge("facepipe_gallery_sessions", "Browsers that are signed in.")
STATUSES_REFUSED = Counter(
    "facepipe_gallery_statuses_refused_total",
    "Status messages that were passed over, by reason (name, too_large, no_json, no_object,"
    " too_many).",
    ["reason"],
)
