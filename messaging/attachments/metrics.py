"""Counts uploads for Prometheus (docs/operations.md)."""

from prometheus_client import Counter, Histogram

SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0)

uploads_stored = Counter("chat_uploads_stored", "Files stored")
upload_bytes = Counter("chat_upload_bytes", "Bytes of the stored files, without thumbnails")
image_seconds = Histogram(
    "chat_image_seconds", "How long the process of an image took", buckets=SECONDS
)
image_crashes = Counter(
    "chat_image_crashes", "Processes of images that crashed or reached a limit of memory or time"
)
files_erased = Counter("chat_files_erased", "Attachments whose files were deleted")
erasures_failed = Counter(
    "chat_file_erasures_failed", "Attachments whose files the storage did not delete yet"
)
