"""The choices of a training run, checked; readable without TensorFlow."""

import dataclasses
import hashlib
import json
import math
import operator
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from wlasl_tfrecord.errors import RecipeError
from wlasl_tfrecord.files import open_regular
from wlasl_tfrecord.network.recipes import DEFAULT_RECIPE
from wlasl_tfrecord.shard_format.clips import MAX_FRAMES
from wlasl_tfrecord.text import shown
from wlasl_tfrecord.training.early_stopping import CHOICES, ChooseBy
from wlasl_tfrecord.training.schedules import SCHEDULES, Schedule

__all__ = [
    "CROPS",
    "PRECISIONS",
    "Crop",
    "Precision",
    "TrainConfig",
    "changed_options",
    "weights_identity",
]

Precision = Literal["auto", "float32", "mixed_float16", "mixed_bfloat16"]
# A run that a damaged record stopped is resumed with more of them skipped. A recipe may
# have moved: its content is compared, not its path. What saves memory gives the same
# weights, but for rounding, and a run that was out of memory is resumed with it.
_MAY_CHANGE = ("max_bad_records", "recipe", "accumulate", "remat")
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
# The ranges of whole numbers. Their ends are far beyond any use: a run folder that was
# received from others must not ask for all the memory or disk there is.
_RANGES = {
    "epochs": (1, 10**6),
    "batch_size": (1, 10**6),
    "patience": (1, 10**6),
    "plateau_patience": (1, 10**6),
    "accumulate": (1, 10**6),
    "feature_views": (1, 10**4),
    "fine_tune_blocks": (1, 10**6),
    "fine_tune_epochs": (0, 10**6),
    "max_bad_records": (0, 10**9),
    "train_frames": (0, MAX_FRAMES),
}
# All shares are nearly halves by then.
_MAX_MIXUP = 1000
Crop = Literal["auto", "input", "device"]
CROPS: tuple[Crop, ...] = get_args(Crop)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """What decides the weights that a training ends with.

    Attributes:
        recipe: Name or path of the file that builds the network.
        recipe_options: Options of its `build_model` besides `weights`.
        weights: Weights of the backbone: "imagenet", "none", or a path. With "none"
            there is nothing to keep frozen, and the whole network is trained from the
            start.
        epochs: Number of epochs of the first phase.
        batch_size: Clips in a global batch.
        learning_rate: Peak of the learning rate in the first phase.
        schedule: Course of the learning rate after its peak.
        weight_decay: Weight decay of AdamW; biases and normalisation have none.
        label_smoothing: Share of the truth given to all glosses alike.
        mixup: The alpha of Beta(alpha, alpha), from which the share of a clip is drawn
            that is mixed with another one of its batch, labels as well; 0 for none.
        class_weights: Whether a clip counts more the rarer its gloss is.
        choose_by: Which epoch's weights are kept: those of the highest validation top-1
            ("top1"), or of the "last" epoch.
        patience: Epochs without a better validation before a phase ends.
        plateau_patience: Epochs without a lower validation loss before "plateau"
            halves the learning rate.
        freeze_backbone: Whether a pretrained backbone stays as it is in the first
            phase. If not, there is one phase, which trains the whole network.
        train_frames: Frames of a clip that a training step sees, drawn at random from
            as many equal segments of the clip; 0 for all. Needs a network that is
            trained whole, in one phase.
        weight_average: Share that a step keeps of the running average of the weights,
            which is what is validated and saved; 0 for the weights themselves.
        fine_tune_epochs: Number of epochs of the second phase; 0 for none.
        fine_tune_blocks: Number of blocks of the backbone that the second phase
            trains, counted from the end.
        fine_tune_learning_rate: Peak of the learning rate in the second phase.
        precision: "auto", "float32", "mixed_float16" or "mixed_bfloat16".
        accumulate: Number of micro-batches that a replica computes its batch in.
        remat: Whether to compute the backbone's blocks a second time for their
            gradients, rather than to keep their activations.
        augment: Whether to change clips at random in training.
        min_scale: Smallest random crop, as a share of the frame's sides.
        flip_probability: How often to mirror a clip left to right: a right-handed
            signer becomes a left-handed one.
        crop: Place where clips are cropped at random: the "input", the "device", or
            "auto", which is the device if there is a GPU. The crops are the same,
            pixels differ by rounding.
        max_bad_records: Damaged records of a split to skip before training stops.
        feature_cache: Whether a frozen backbone computes each clip and view only once.
        feature_views: Augmented views of a clip in the feature cache.
        seed: Seed of weights, order and augmentation, in [0, 2**31 - 1).
        deterministic: Whether the same choices give the same bits; slower. It holds for
            the whole process, and from then on.

    Raises:
        ValueError: If a value is out of its range.
    """

    recipe: str = DEFAULT_RECIPE
    recipe_options: Mapping[str, Any] = field(default_factory=dict)
    weights: str = "imagenet"
    epochs: int = 60
    batch_size: int = 16
    learning_rate: float = 1e-3
    schedule: Schedule = "cosine"
    weight_decay: float = 0.01
    label_smoothing: float = 0.1
    mixup: float = 0.0
    class_weights: bool = False
    choose_by: ChooseBy = "top1"
    patience: int = 20
    plateau_patience: int = 5
    freeze_backbone: bool = True
    train_frames: int = 0
    weight_average: float = 0.0
    fine_tune_epochs: int = 0
    fine_tune_blocks: int = 4
    fine_tune_learning_rate: float = 1e-4
    precision: Precision = "auto"
    accumulate: int = 1
    remat: bool = False
    augment: bool = True
    min_scale: float = 0.8
    flip_probability: float = 0.0
    crop: Crop = "auto"
    max_bad_records: int = 0
    feature_cache: bool = True
    feature_views: int = 4
    seed: int = 0
    deterministic: bool = False

    def __post_init__(self) -> None:
        """Reject invalid values; convert the others to the types that JSON returns."""
        for one in dataclasses.fields(self):
            value = getattr(self, one.name)
            convert, kind = _KINDS.get(one.type, (None, ""))
            if convert is None:
                continue
            try:
                object.__setattr__(self, one.name, convert(value))
            except (TypeError, ValueError, OverflowError):
                got = shown(value)
                raise ValueError(f"{one.name} must be {kind}, got {got}") from None
        for name, (lowest, highest) in _RANGES.items():
            _check(name, getattr(self, name), lowest, highest)
        if "weights" in self.recipe_options:
            raise ValueError(
                "recipe_options cannot hold weights, which are an option of their own; "
                "give them with --weights"
            )
        # The second phase has the seed above this one.
        if not 0 <= self.seed < 2**31 - 1:
            raise ValueError(f"seed must be in [0, 2**31 - 1), got {self.seed}")
        for name in ("learning_rate", "fine_tune_learning_rate"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        if not 0 <= self.weight_decay < math.inf:
            raise ValueError(
                f"weight_decay must be at least 0, got {self.weight_decay}"
            )
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(
                f"label_smoothing must be in [0, 1), got {self.label_smoothing}"
            )
        if not 0 <= self.weight_average < 1:
            raise ValueError(
                f"weight_average must be in [0, 1), got {self.weight_average}"
            )
        if not 0 <= self.mixup <= _MAX_MIXUP:
            raise ValueError(f"mixup must be in [0, {_MAX_MIXUP}], got {self.mixup}")
        if not 0 <= self.flip_probability <= 1:
            raise ValueError(
                f"flip_probability must be in [0, 1], got {self.flip_probability}"
            )
        if not 0 < self.min_scale <= 1:
            raise ValueError(f"min_scale must be in (0, 1], got {self.min_scale}")
        self._check_phases()
        if self.schedule not in SCHEDULES:
            raise ValueError(
                f"schedule must be one of {', '.join(SCHEDULES)}, got {self.schedule!r}"
            )
        for name, known in (
            ("precision", PRECISIONS),
            ("crop", CROPS),
            ("choose_by", CHOICES),
        ):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"{name} must be one of {', '.join(known)}, got "
                    f"{getattr(self, name)!r}"
                )

    def _check_phases(self) -> None:
        """Refuse options of a phase that there is none of."""
        if self.pretrained and self.freeze_backbone:
            self.refuse_train_frames()
        if self.fine_tune_epochs and not self.freeze_backbone:
            raise ValueError(
                f"fine_tune_epochs {self.fine_tune_epochs} needs a first phase with a "
                "frozen backbone; leave out --no-freeze-backbone or --fine-tune-epochs"
            )

    def refuse_train_frames(self) -> None:
        """Refuses to leave out frames, for a training that has a head phase.

        Raises:
            ValueError: If it leaves out some.
        """
        if self.train_frames:
            raise ValueError(
                f"train_frames {self.train_frames} needs a network that is trained "
                "whole; add --no-freeze-backbone"
            )

    @property
    def pretrained(self) -> bool:
        """Whether the backbone starts with weights worth keeping."""
        return self.weights != "none"


def weights_identity(weights: str | os.PathLike[str]) -> str:
    """Returns a name of weights: of a file the hex SHA-256, which may have moved.

    Raises:
        RecipeError: If it is a file that cannot be read.
    """
    if not os.path.isfile(weights):
        return os.fspath(weights)
    digest = hashlib.sha256()
    try:
        with open(weights, "rb", opener=open_regular) as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    except OSError as error:
        raise RecipeError(
            f"cannot read the weights {os.fspath(weights)} ({error.strerror}); check "
            "--weights"
        ) from error
    return digest.hexdigest()


def changed_options(old: TrainConfig, new: TrainConfig) -> list[str]:
    """Describes the options that differ, except those that a resumed run may change."""
    stored = dataclasses.asdict(old)
    return [
        f"{name} {stored[name]}, not {value}"
        for name, value in dataclasses.asdict(new).items()
        if stored[name] != value and name not in _MAY_CHANGE
    ]


def _whole(value: Any) -> int:
    if isinstance(value, bool):
        raise TypeError
    return operator.index(value)


def _real(value: Any) -> float:
    if isinstance(value, bool | str):
        raise TypeError
    return float(value)


def _truth(value: object) -> bool:
    if value not in (True, False):
        raise TypeError
    return bool(value)


def _json_options(options: Mapping[str, Any]) -> dict[str, Any]:
    text = json.dumps(dict(options))
    # No recipe has such options; a run folder of somebody else may, too deep to copy.
    if text.count("[") + text.count("{") > 100:
        raise ValueError
    return json.loads(text)


# A field's type -> a function that converts values of NumPy and pathlib to those of
# Python, and the name of the type in messages.
_KINDS: Mapping[Any, tuple[Callable[[Any], Any], str]] = {
    int: (_whole, "a whole number"),
    float: (_real, "a number"),
    str: (os.fspath, "text or a path"),
    bool: (_truth, "True or False"),
    Mapping[str, Any]: (_json_options, "names and values as JSON has them"),
}


def _check(name: str, value: int, lowest: int, highest: int) -> None:
    if value < lowest:
        raise ValueError(f"{name} must be at least {lowest}, got {shown(value)}")
    if value > highest:
        raise ValueError(f"{name} must be at most {highest:,}, got {shown(value)}")
