"""Which published data set a folder is, found or said."""

from typing import get_args

import pytest
from annotations import touch

from wlasl_tfrecord.annotations.layouts import LayoutName
from wlasl_tfrecord.annotations.reader import FORMATS, read_manifest
from wlasl_tfrecord.errors import ManifestError


@pytest.mark.parametrize("name", get_args(LayoutName))
def test_a_layout_that_a_folder_does_not_have_says_so(tmp_path, name):
    touch(tmp_path, "hello/1.mp4", "bye/2.mp4")
    with pytest.raises(
        ManifestError, match=f"does not have the layout of {name}, which docs/datasets"
    ):
        read_manifest(tmp_path, annotation_format=name)
    assert name in FORMATS


def test_labels_of_a_data_set_whose_videos_are_elsewhere_are_no_class_folders(tmp_path):
    touch(tmp_path, "hello/1.mp4", "bye/2.mp4")
    (tmp_path / "MSASL_train.json").write_text(
        '[{"url": "https://youtu.be/AAAAAAAAAA1", "label": 0, "text": "hello"}]'
    )
    with pytest.raises(
        ManifestError,
        match=r"has the labels of ms-asl, but none of its 1 videos is in .*; check",
    ):
        read_manifest(tmp_path)
    assert read_manifest(tmp_path, annotations="none").glosses == ("bye", "hello")


def test_a_table_of_ones_own_goes_before_a_layout(tmp_path):
    touch(tmp_path, "001_001_001.mp4")
    (tmp_path / "mine.csv").write_text(
        "path,gloss,split\n001_001_001.mp4,opaque,test\n"
    )
    assert read_manifest(tmp_path).glosses == ("opaque",)
    assert read_manifest(tmp_path, annotation_format="lsa64").glosses == ("001",)
