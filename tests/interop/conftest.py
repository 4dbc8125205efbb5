"""The programs here are for other environments than that of pytest."""

collect_ignore_glob = ["*_clips.py"]
