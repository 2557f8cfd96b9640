"""How the names of videos end. By name, since which media types a system knows differs (.mkv is often missing)."""

VIDEO_ENDINGS = (
    ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".m2ts", ".wmv", ".flv", ".ogv", ".3gp",
    ".gif", ".apng", ".webp",
)  # fmt: skip
