"""Files and objects by path or URL."""

__all__: list[str] = []
