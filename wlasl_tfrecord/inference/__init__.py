"""A trained model at work: prediction from videos, and export.

May import network, input_pipeline, and decoder_pool with what that may import.
"""

__all__: list[str] = []
