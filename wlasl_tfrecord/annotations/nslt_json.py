"""The annotation files of WLASL's subsets, nslt_K.json: classes and splits alone."""

from collections.abc import Mapping, Sequence
from typing import Any

from wlasl_tfrecord.annotations.checks import checked_id, checked_split
from wlasl_tfrecord.annotations.class_list import CLASS_LIST_FILE
from wlasl_tfrecord.annotations.manifest import UNKNOWN_SIGNER, Instance, Manifest
from wlasl_tfrecord.errors import ManifestError
from wlasl_tfrecord.text import shown, text_of
from wlasl_tfrecord.video.sampling import ANNOTATION_FPS

__all__ = ["nslt_manifest"]


def nslt_manifest(
    annotations: Any,
    where: str,
    class_list: Sequence[str] | None,
    wlasl: Manifest | None,
) -> Manifest:
    """Reads the content of nslt_K.json: {video_id: {subset, action: [class, …]}}.

    Only class and split are taken from it. Its ranges count frames of the authors' own
    re-encoded clips; on the files that people have they cut the tail of 829 of 1,141
    clips and overrun the end of 244. Ranges and signers come from WLASL_v0.3.json.

    Args:
        annotations: The parsed JSON.
        where: The name of the file, for errors.
        class_list: The words of wlasl_class_list.txt, by label; None if there is none.
        wlasl: The manifest of WLASL_v0.3.json; None if there is none. Its words go
            before those of the list, which has "losear" for "lose".

    Returns:
        The manifest, its videos not looked for yet.

    Raises:
        ManifestError: If the structure is not that of an nslt file, or the words are
            not known.
    """
    if not isinstance(annotations, dict) or not annotations:
        raise ManifestError(
            f"{where} is not in the nslt format: expected an object of videos, got "
            f"{shown(annotations)}"
        )
    words = wlasl.glosses if wlasl else tuple(class_list or ())
    if not words:
        raise ManifestError(
            f"{where} has numbers for glosses; put {CLASS_LIST_FILE} or "
            "WLASL_v0.3.json beside it"
        )
    words_from = text_of(wlasl.annotations) if wlasl else CLASS_LIST_FILE
    known = {i.video_id: i for i in wlasl.instances} if wlasl else {}
    instances = tuple(
        _nslt_instance(video_id, row, words, known, where)
        for video_id, row in annotations.items()
    )
    num_glosses = 1 + max(instance.label for instance in instances)
    notes: list[str] = []
    if wlasl is None:
        notes.append(
            f"no WLASL_v0.3.json beside {where}: videos are taken whole, signers are "
            "unknown"
        )
    else:
        unknown = sum(instance.video_id not in known for instance in instances)
        if unknown:
            notes.append(
                f"{unknown} ids of {where} are unknown to {wlasl.annotations}: taken "
                "whole, signer unknown"
            )
        notes.extend(
            f"class {label} is {listed!r} in {CLASS_LIST_FILE} and {word!r} in "
            f"{wlasl.annotations}; took {word!r}"
            for label, (listed, word) in enumerate(zip(class_list or (), words))
            if listed != word and label < num_glosses
        )
    return Manifest(
        instances=instances,
        glosses=words[:num_glosses],
        annotations=where,
        labels_from=f"classes in it, words of {words_from}",
        splits_from="subset in it",
        notes=tuple(notes),
    )


def _nslt_instance(
    video_id: str,
    row: Any,
    words: Sequence[str],
    known: Mapping[str, Instance],
    where: str,
) -> Instance:
    """Checks one instance of nslt_K.json."""
    place = f"{where}: {shown(checked_id(video_id, where))}"
    if not isinstance(row, dict):
        raise ManifestError(
            f"{place} must have the keys 'subset' and 'action', got {shown(row)}"
        )
    split = checked_split(row, "subset", place)
    action = row.get("action")
    label = action[0] if isinstance(action, list) and action else None
    if isinstance(label, bool) or not isinstance(label, int):
        raise ManifestError(
            f"{place}: action must be [class, start, end], got {shown(action)}"
        )
    if not 0 <= label < len(words):
        raise ManifestError(
            f"{place}: class {shown(label)} is none of the {len(words)} known glosses"
        )
    other = known.get(video_id)
    return Instance(
        video_id=video_id,
        gloss=words[label],
        label=label,
        split=split,
        signer_id=other.signer_id if other else UNKNOWN_SIGNER,
        start=other.start if other else None,
        stop=other.stop if other else None,
        annotation_fps=ANNOTATION_FPS if other is None else other.annotation_fps,
        url=other.url if other else None,
        problem=other.problem if other else None,
    )
