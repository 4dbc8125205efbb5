"""Drawn signers: videos with known signs, for the demo and the tests.

Also the backbone that the demo trains on them. May import every room but cli.
"""

__all__: list[str] = []
