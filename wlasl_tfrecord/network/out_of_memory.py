"""Out of memory in one line: what did not fit, and the options that help.

TensorFlow raises a ResourceExhaustedError on GPUs and on CPUs alike; NumPy, and the
Python that reads records, a MemoryError.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence

import tensorflow as tf

from wlasl_tfrecord.errors import OutOfMemoryError
from wlasl_tfrecord.network.micro_batches import clips_at_once
from wlasl_tfrecord.shard_format.clips import ClipSpec

__all__ = ["batch_size_options", "one_line_out_of_memory", "out_of_memory_line"]


@contextlib.contextmanager
def one_line_out_of_memory(advice: Callable[[], str]) -> Iterator[None]:
    """Turns what is raised where memory ends into an error of one line.

    Args:
        advice: Returns the line.

    Raises:
        OutOfMemoryError: In the place of TensorFlow's and Python's own.
    """
    try:
        yield
    except (tf.errors.ResourceExhaustedError, MemoryError) as error:
        raise OutOfMemoryError(advice()) from error


def out_of_memory_line(
    doing: str,
    clip: ClipSpec,
    num_clips: int,
    options: Sequence[str],
    *,
    passes: str = "forward alone",
) -> str:
    """Returns a line on what does not fit.

    Args:
        doing: What the network was run for, for example "evaluation".
        clip: Shape of a clip.
        num_clips: Clips that a device computes at once.
        options: Options that help and fit this run, the best first.
        passes: "forward alone", or with the gradients.

    >>> clip = ClipSpec(num_frames=30, height=224, width=224)
    >>> out_of_memory_line("prediction", clip, 8, ["--batch-size 2"])[:69]
    'out of memory in prediction: 8 clip(s) of 30 frames of 224x224 do not'
    """
    rest = ["end other programs that use much memory"]
    if tf.config.list_physical_devices("GPU"):
        rest.append("CUDA_VISIBLE_DEVICES=-1, which computes on the CPU")
    rest.append("a smaller network (--alpha), or shards with a smaller --size")
    return (
        f"out of memory in {doing}: {num_clips} clip(s) of {clip.num_frames} frames of "
        f"{clip.height}x{clip.width} do not fit on a device at once, {passes}. "
        f"What helps, the best first: {'; '.join([*options, *rest])}"
    )


def batch_size_options(batch_size: int, num_replicas: int) -> list[str]:
    """Returns the smaller batch size to try next, if there is one.

    Where the network computes clip by clip anyway, the input holds fewer clips.

    Args:
        batch_size: Clips in a global batch.
        num_replicas: Devices that share it.

    >>> batch_size_options(16, 2)
    ['--batch-size 4']
    """
    share = batch_size // num_replicas
    if share == 1:
        return []
    # A step of 2 may not be enough, one of 4 mostly is.
    at_once = clips_at_once(share)
    smaller = max(1, (at_once if at_once > 1 else share) // 4)
    return [f"--batch-size {smaller * num_replicas}"]
