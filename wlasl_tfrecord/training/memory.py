"""Out of memory, in one line: what did not fit, and the options that help."""

from wlasl_tfrecord.network.micro_batches import clips_at_once
from wlasl_tfrecord.network.out_of_memory import batch_size_options, out_of_memory_line
from wlasl_tfrecord.shard_format.shard_folder import ShardFolder
from wlasl_tfrecord.training.config import TrainConfig
from wlasl_tfrecord.training.run import Run

__all__ = ["forward_memory_advice", "memory_advice"]


def memory_advice(folder: ShardFolder, config: TrainConfig, num_replicas: int) -> str:
    """Returns a line on what did not fit, with options that fit this run.

    The options come in the order in which they help: those first that give the same
    weights, and with which a run can be resumed.

    Args:
        folder: The shards.
        config: Choices of the run.
        num_replicas: Devices that share a batch.
    """
    clip = folder.clip
    size = config.batch_size // num_replicas
    at_once = size // config.accumulate
    options = []
    larger = [n for n in range(config.accumulate + 1, size + 1) if size % n == 0]
    if larger:
        # A step of 2 may not be enough, one of 4 mostly is.
        number = next((n for n in larger if n >= 4 * config.accumulate), larger[-1])
        options.append(f"--accumulate {number}, which gives the same weights")
    if not config.remat:
        options.append("--remat, which does too")
    if config.fine_tune_epochs and config.fine_tune_blocks > 1:
        options.append(f"--fine-tune-blocks {config.fine_tune_blocks // 2}")
    options.append("a smaller network (--alpha), or shards with a smaller --size")
    return (
        f"out of memory: {at_once} clip(s) of {clip.num_frames} frames of "
        f"{clip.height}x{clip.width} do not fit on a device at once, with all that "
        f"their gradients need. What helps, the best first: {'; '.join(options)}"
    )


def forward_memory_advice(doing: str, run: Run) -> str:
    """Returns a line on what did not fit where a run computes no gradients.

    Args:
        doing: "feature caching" or "validation".
        run: The run.
    """
    num_replicas = run.strategy.num_replicas_in_sync
    at_once = clips_at_once(run.config.batch_size // num_replicas)
    smaller = batch_size_options(run.config.batch_size, num_replicas)
    options = [f"{one} and another --out" for one in smaller]
    return out_of_memory_line(doing, run.folder.clip, at_once, options)
