"""A folder of numbered images becomes a clip as a video does."""

import shutil

import cv2
import numpy as np
import pytest

from wlasl_tfrecord.errors import VideoError
from wlasl_tfrecord.shard_format.clips import ClipSpec
from wlasl_tfrecord.video.decode import decode_clip
from wlasl_tfrecord.video.image_folder import image_files
from wlasl_tfrecord.video.sampling import evenly_spaced

CLIP = ClipSpec(num_frames=8, height=120, width=120)


def decode(path, clip=CLIP, **kwargs):
    return decode_clip(path, clip=clip, framing="center", **kwargs)


class TestImages:
    def write(self, directory, count=12, pattern="frame_{:d}.png"):
        directory.mkdir()
        for number in range(count):
            image = np.full((50, 60, 3), number * 10, np.uint8)
            cv2.imwrite(str(directory / pattern.format(number)), image)
        return directory

    # The last number of a name counts.
    @pytest.mark.parametrize("pattern", ["frame_{:d}.png", "cam2_{:d}.png"])
    def test_a_folder_of_images_is_a_video_in_the_order_of_numbers(
        self, tmp_path, pattern
    ):
        # Without leading zeros, so that the order of names is another one.
        frames, source = decode(self.write(tmp_path / "a", pattern=pattern))
        expected = evenly_spaced(12, 8).tolist()
        assert [int(frame[0, 0, 0]) for frame in frames] == [10 * n for n in expected]
        assert source.num_video_frames == 12
        assert source.video_fps == 25.0

    def test_a_range_counts_images(self, tmp_path):
        frames, _ = decode(
            self.write(tmp_path / "a"), start=3, stop=11, annotation_fps=None
        )
        assert [int(frame[0, 0, 0]) for frame in frames] == list(range(30, 110, 10))

    def test_images_have_the_rate_at_which_their_annotation_counts(self, tmp_path):
        frames, source = decode(
            self.write(tmp_path / "a"), start=1, stop=4, annotation_fps=50.0
        )
        assert source.sign == (1, 4, "cut")
        assert source.video_fps == 50.0
        assert [int(frame[0, 0, 0]) for frame in frames[[0, -1]]] == [10, 30]

    def test_the_digest_is_of_all_images(self, tmp_path):
        directory = self.write(tmp_path / "a")
        before = decode(directory)[1].sha256
        cv2.imwrite(str(directory / "frame_1.png"), np.zeros((50, 60, 3), np.uint8))
        assert decode(directory)[1].sha256 != before

    def test_images_may_be_of_any_kind(self, tmp_path):
        suffixes = ("jpg", "JPEG", "png", "bmp", "tif", "tiff", "webp")
        for number, suffix in enumerate(suffixes):
            image = np.full((50, 60, 3), number * 10, np.uint8)
            cv2.imwrite(str(tmp_path / f"{number}.{suffix}"), image)
        frames, source = decode(tmp_path)
        assert source.num_video_frames == 7
        assert [round(float(frame.mean())) for frame in frames[[0, -1]]] == [0, 60]

    def test_two_images_of_one_number_are_refused(self, tmp_path):
        directory = self.write(tmp_path / "a")
        shutil.copy(directory / "frame_1.png", directory / "frame_01.png")
        with pytest.raises(VideoError, match=r"two images have the number 1, frame_01"):
            decode(directory)

    def test_a_broken_image_is_named(self, tmp_path):
        directory = self.write(tmp_path / "a")
        (directory / "frame_0.png").write_bytes(b"<html>")
        with pytest.raises(VideoError, match=r"^a: unreadable: frame_0.png is no"):
            decode(directory)
        (directory / "frame_0.png").write_bytes(b"")
        with pytest.raises(VideoError, match=r"^a: unreadable: frame_0.png is no"):
            decode(directory)

    def test_a_folder_without_images_is_too_short(self, tmp_path):
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / "notes.txt").write_text("1")
        with pytest.raises(VideoError, match=r"too short: the folder holds no"):
            decode(tmp_path / "a")


def files_of(directory, names):
    for name in names:
        (directory / name).touch()
    return [path.rpartition("/")[2] for path in image_files(directory)]


@pytest.mark.parametrize(
    "name",
    [
        lambda n: f"{n}.jpg",
        lambda n: f"frame_{n}_{n * 0.343:.2f}.jpg",
        lambda n: f"{n * 0.343:.2f}_frame_{n}.jpg",
        # Decimals of any length.
        lambda n: f"frame_{n}_{n * 0.5}.jpg",
        lambda n: f"frame_{n}_of_300.jpg",
        lambda n: f"frame_{n:03d}_640x480.jpg",
        # A point before the number, with leading zeros and without.
        lambda n: f"clip_1.{n}.jpg",
        lambda n: f"clip_1.{n:04d}.jpg",
        # A number that counts beside one that does not: a hash.
        lambda n: f"img{n}_{n * 7919 % 10007}.jpg",
        # Every fifth frame; a date and a time.
        lambda n: f"frame_{5 * n}.jpg",
        lambda n: f"IMG_20200101_{120000 + 7 * n}.jpg",
        # Numbers that int() refuses.
        lambda n: f"{'9' * 200}{n:04d}.jpg",
        # Names of several kinds.
        lambda n: f"a{n}b_{n}.jpg" if n % 2 else f"b_{n}.jpg",
    ],
)
@pytest.mark.parametrize("count", [1, 2, 23])
def test_the_number_that_counts_orders_the_images(tmp_path, name, count):
    names = [name(number) for number in range(count)]
    assert files_of(tmp_path, reversed(names)) == names


@pytest.mark.parametrize(
    "name",
    [
        lambda n: f"frame_{n}_{11 - n}.jpg",
        lambda n: f"frame_{n}_{(11 - n) * 0.3:.2f}.jpg",
        lambda n: f"{n * n}_{n * 7919 % 10007}.jpg",
    ],
)
def test_two_numbers_that_disagree_are_refused(tmp_path, name):
    with pytest.raises(VideoError, match="two numbers in the names of its images"):
        files_of(tmp_path, [name(number) for number in range(12)])


def test_two_sequences_in_one_folder_are_refused(tmp_path):
    names = [f"scene{number // 6}_{number % 6}.jpg" for number in range(12)]
    with pytest.raises(VideoError, match=r"two images have the number 0, scene0_"):
        files_of(tmp_path, names)
