"""Recipes: plain files that each build one network, found by name or path.

Nothing imports a network by name, so a user's own file is as good as one of ours:

    def build_model(clip, num_classes, *, weights="imagenet", **options) -> keras.Model

takes uint8 [B, T, H, W, 3] and returns float32 [B, num_classes] probabilities. Or it
takes landmarks, float32 [B, T, K, 3], by an input named `landmarks`; or a dict of both,
with the inputs `frames` and `landmarks`.
Optional: a layer `features` [B, T, D] where the pretrained part ends, a layer `logits`
[B, num_classes], and a function `backbone_blocks(model)`, which groups the layers of
the pretrained part, first to last; a function `augment_features(features, seeds)`,
which changes [B, T, D] at random while the head is trained; a function `pretrain`,
which makes the weights of the pretrained part from the shards (`training.pretraining`);
and `TRAINING`, a dict of plain values: options of `TrainConfig` that bin/train takes
from it unless the user gives others.
"""

import ast
import hashlib
import inspect
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from wlasl_tfrecord.errors import RecipeError, WlaslError
from wlasl_tfrecord.files import read_bytes
from wlasl_tfrecord.network.inputs import LANDMARKS
from wlasl_tfrecord.shard_format.clips import ClipSpec
from wlasl_tfrecord.shard_format.landmarks import NUM_LANDMARKS

if TYPE_CHECKING:
    import keras

__all__ = [
    "DEFAULT_RECIPE",
    "LANDMARKS_RECIPE",
    "Recipe",
    "find_recipe",
    "load_recipe",
    "recipe_paths",
    "training_defaults",
]

DEFAULT_RECIPE = "mobilenetv2_lstm"
# Of shards with landmarks: from them it learns what hands are.
LANDMARKS_RECIPE = "mobilenetv2_pose_lstm"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One file that builds a network.

    Attributes:
        name: The file's name without its suffix.
        path: The file.
        content: The file's bytes, as they were executed.
        definitions: Classes and functions that the file defines, by name.
        build_model: Function of that name in it.
        backbone_blocks: Function of that name in it, if there is one.
        augment_features: The same.
        pretrain: The same.
    """

    name: str
    path: Path
    content: bytes
    definitions: Mapping[str, Any]
    build_model: Callable[..., Any]
    backbone_blocks: Callable[[Any], list[list[Any]]] | None
    augment_features: Callable[[Any, Any], Any] | None
    pretrain: Callable[..., object] | None

    @property
    def sha256(self) -> str:
        """Hash of the file, in hexadecimal."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def options(self) -> tuple[str, ...]:
        """The names of the options that `build_model` takes."""
        return tuple(
            name
            for name, parameter in inspect.signature(
                self.build_model
            ).parameters.items()
            if parameter.kind is parameter.KEYWORD_ONLY
        )

    @property
    def takes_any_option(self) -> bool:
        """Whether `build_model` has `**options`."""
        parameters = inspect.signature(self.build_model).parameters.values()
        return any(one.kind is one.VAR_KEYWORD for one in parameters)

    def build(
        self, clip: ClipSpec, num_classes: int, options: Mapping[str, Any]
    ) -> "keras.Model":
        """Builds the network and checks that it is one for these clips.

        Args:
            clip: The shape of one clip.
            num_classes: How many glosses there are.
            options: Passed on to `build_model`.

        Raises:
            RecipeError: If the recipe does not take an option, or returns something
                else than a network from clips to classes.
        """
        unknown = sorted(set(options) - set(self.options))
        if unknown and not self.takes_any_option:
            raise RecipeError(
                f"{self.path} takes no option {unknown[0]!r}; it takes "
                f"{', '.join(self.options) or 'none'}"
            )
        try:
            model = self.build_model(clip, num_classes, **options)
        except WlaslError:
            raise
        except Exception as error:
            raise RecipeError(
                f"{self.path}: build_model failed ({type(error).__name__}: {error})"
            ) from error
        inputs: Any = [
            (None, clip.num_frames, NUM_LANDMARKS, 3)
            if one.name == LANDMARKS
            else (None, *clip.shape)
            for one in getattr(model, "inputs", None) or ()
        ] or [(None, *clip.shape)]
        wanted = (inputs[0] if len(inputs) == 1 else inputs, (None, num_classes))
        found = tuple(
            getattr(model, name, None) for name in ("input_shape", "output_shape")
        )
        if found != wanted:
            raise RecipeError(
                f"{self.path}: build_model must map {wanted[0]} to {wanted[1]}, "
                f"it maps {found[0]} to {found[1]}"
            )
        return model


def recipe_paths() -> dict[str, Path]:
    """Lists the recipes that come with the library, by name."""
    package_dir = Path(__file__).resolve().parents[1]
    # A wheel carries them inside the package, a checkout beside it.
    for models_dir in (package_dir / "models", package_dir.parent / "models"):
        paths = sorted(models_dir.glob("*.py"))
        if paths:
            return {path.stem: path for path in paths if path.stem != "__init__"}
    return {}


def find_recipe(name_or_path: str | os.PathLike[str]) -> Path:
    """Finds the file of a recipe, without loading it.

    Raises:
        RecipeError: If there is no such recipe.
    """
    wanted = os.fspath(name_or_path)
    known = recipe_paths()
    path = known.get(wanted)
    if path is None:
        if not wanted.endswith(".py"):
            raise RecipeError(
                f"no model recipe {wanted!r}; known: {', '.join(known)}, or give the "
                "path of a .py file"
            )
        path = Path(wanted)
        if not path.is_file():
            raise RecipeError(f"no model recipe at {wanted}; known: {', '.join(known)}")
    return path


def training_defaults(name_or_path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads the options of a training that a recipe prefers, and executes nothing.

    Args:
        name_or_path: Name of a recipe of the library, or path of a file.

    Returns:
        What the file assigns to `TRAINING`; nothing if there is no such line.

    Raises:
        RecipeError: If there is no such recipe, or `TRAINING` is no dict of plain
            values.
    """
    path = find_recipe(name_or_path)
    try:
        module = ast.parse(_content(path))
    except (SyntaxError, ValueError):
        return {}  # `load_recipe` says what is wrong with it
    for statement in module.body:
        if isinstance(statement, ast.AnnAssign):
            targets = [statement.target]
        elif isinstance(statement, ast.Assign):
            targets = statement.targets
        else:
            continue
        if not any(isinstance(t, ast.Name) and t.id == "TRAINING" for t in targets):
            continue
        try:
            defaults = ast.literal_eval(statement.value or "None")
        except (ValueError, TypeError, SyntaxError):
            defaults = None
        if not isinstance(defaults, dict):
            raise RecipeError(
                f"{path}: TRAINING must be a dict of plain values, such as "
                '{"epochs": 60}'
            )
        return defaults
    return {}


def load_recipe(
    name_or_path: str | os.PathLike[str] = DEFAULT_RECIPE, sha256: str | None = None
) -> Recipe:
    """Loads a recipe by its name, or by the path of any Python file: it is executed.

    Args:
        name_or_path: Name of a recipe of the library, or path of a file.
        sha256: Hash that the file must have, or it is not executed.

    Raises:
        RecipeError: If there is no such recipe, the file is another than `sha256` says,
            or has no `build_model`.
    """
    path = find_recipe(name_or_path)
    content = _content(path)
    if sha256 not in (None, hashlib.sha256(content).hexdigest()):
        raise RecipeError(
            f"{path} is not the recipe that was trained with: it has changed since; "
            "put that file back, or train again with another --out"
        )
    module = ModuleType(f"_recipe_{path.stem}")
    module.__file__ = str(path)
    try:
        # Not by an import: of a file that was edited within the second, to the same
        # length, Python would take the bytecode that it compiled before.
        exec(compile(content, path, "exec"), module.__dict__)
    except Exception as error:
        raise RecipeError(
            f"cannot load the recipe {path} ({type(error).__name__}: {error})"
        ) from error
    build_model = getattr(module, "build_model", None)
    if not callable(build_model):
        raise RecipeError(f"{path} is not a recipe: it has no function build_model")
    return Recipe(
        name=path.stem,
        path=path,
        content=content,
        definitions={
            name: value
            for name, value in vars(module).items()
            if getattr(value, "__module__", None) == module.__name__
        },
        build_model=build_model,
        backbone_blocks=getattr(module, "backbone_blocks", None),
        augment_features=getattr(module, "augment_features", None),
        pretrain=getattr(module, "pretrain", None),
    )


def _content(path: Path) -> bytes:
    """Reads the file of a recipe.

    Raises:
        RecipeError: If it cannot be read.
    """
    try:
        return read_bytes(str(path))
    except OSError as error:
        raise RecipeError(
            f"cannot read the recipe {path} ({error.strerror})"
        ) from error
