"""What a call of `input_fn` has decided: one value that all stages take."""

from dataclasses import dataclass
from typing import Literal

import tensorflow as tf

from wlasl_tfrecord.input_pipeline.augment import AugmentConfig
from wlasl_tfrecord.input_pipeline.buffers import Buffers
from wlasl_tfrecord.input_pipeline.elements import Element
from wlasl_tfrecord.input_pipeline.order import Order, WorkerPositions
from wlasl_tfrecord.shard_format.record_table import Records
from wlasl_tfrecord.shard_format.shard_folder import ShardFolder

__all__ = ["InputPlan", "ReaderName"]

ReaderName = Literal["direct", "graph"]


@dataclass(frozen=True, kw_only=True)
class InputPlan:
    """What a call of `input_fn` has decided.

    Attributes:
        folder: The shard folder.
        split: The split.
        records: The split's table of records.
        order: The order of its clips.
        positions: What this worker reads.
        local_batch_size: Clips in an element of the dataset: for one replica.
        augmentation: How to change clips at random; None for not at all.
        element: What an element is.
        training: Whether damaged records are replaced, not marked.
        max_bad_records: How many damaged records are tolerated.
        reader: How records become frames.
        data_service: grpc://host:port of the tf.data service that reads; None for this
            process.
        buffers: How much is in memory at a time.
    """

    folder: ShardFolder
    split: str
    records: Records
    order: Order
    positions: WorkerPositions
    local_batch_size: int
    augmentation: AugmentConfig | None
    element: Element
    training: bool
    max_bad_records: int
    reader: ReaderName
    data_service: str | None
    buffers: Buffers

    @property
    def has_frames(self) -> bool:
        """Whether an element has frames."""
        return self.element not in ("landmarks", "keys")

    @property
    def has_landmarks(self) -> bool:
        """Whether an element has landmarks."""
        return self.element == "landmarks" or (
            self.element == "dict" and self.folder.has_landmarks
        )

    @property
    def num_clips(self) -> int:
        """Clips that this worker reads, or tf.data.INFINITE_CARDINALITY."""
        endless = self.positions.stop is None
        return tf.data.INFINITE_CARDINALITY if endless else len(self.positions.numbers)

    @property
    def num_batches(self) -> int:
        """Elements of the dataset, or tf.data.INFINITE_CARDINALITY."""
        if self.positions.stop is None:
            return tf.data.INFINITE_CARDINALITY
        return self.num_clips // self.local_batch_size

    @property
    def reshuffles(self) -> bool:
        """Whether a second iteration of the dataset has another order."""
        return self.training and self.positions.stop is not None

    @property
    def pads(self) -> bool:
        """Whether a batch is filled up with clips of weight 0."""
        return not self.order.drop_remainder and (
            self.order.num_clips % self.order.batch_size > 0
        )

    @property
    def weighs(self) -> bool:
        """Whether a clip may have weight 0."""
        return self.pads or (not self.training and self.max_bad_records > 0)
