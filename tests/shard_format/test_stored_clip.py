import numpy as np
import pytest
from drawn_shards import drawn_frames, write_folder

from wlasl_tfrecord.errors import RecordError
from wlasl_tfrecord.shard_format import tfrecord
from wlasl_tfrecord.shard_format.shard_folder import load_folder
from wlasl_tfrecord.shard_format.stored_clip import read_clip


@pytest.mark.parametrize("codec", ["raw", "png"])
def test_any_clip_of_any_shard_is_read_by_its_position(tmp_path, codec):
    folder = load_folder(write_folder(tmp_path / "s", {"val": 5}, codec=codec))
    for record in (4, 0, 2):
        frames = read_clip(folder, "val", record)
        assert np.array_equal(frames, drawn_frames(record, folder.clip.shape))


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_length_beyond_all_memory_is_not_believed(tmp_path, scheme):
    directory = write_folder(tmp_path / "s", {"val": 5})
    with open(directory / "wlasl-val.tfrecord-00000-of-00002", "r+b") as file:
        file.write(tfrecord.header(2**40))
    folder = load_folder(f"{scheme}{directory}")
    with pytest.raises(RecordError, match=r"the record of val00000 is damaged; bin/"):
        read_clip(folder, "val", 0)
