"""Videos in places where none is looked for."""

from annotations import touch

from wlasl_tfrecord.annotations.stray_videos import stray_videos


def test_strays_are_listed_without_what_is_taken_or_a_systems_own(tmp_path):
    touch(tmp_path, "a/1.mp4", "a/2.gif", "3.MP4.part", "a/b/c/4.mov", "a/b/c/d/5.mov")
    touch(tmp_path, "@eaDir/6.mp4", ".x/7.mp4", "a/.8.mp4", "a/9.jpg")
    taken = {str(tmp_path / "a" / "1.mp4")}
    assert stray_videos(str(tmp_path), taken) == [
        "3.MP4.part",
        "a/2.gif",
        "a/b/c/4.mov",
    ]


def test_what_a_taken_link_leads_to_is_no_stray(tmp_path):
    touch(tmp_path, "all/1.mp4", "all/2.mp4", "train/readme")
    (tmp_path / "train" / "1.mp4").symlink_to("../all/1.mp4")
    taken = {str(tmp_path / "train" / "1.mp4")}
    assert stray_videos(str(tmp_path), taken) == ["all/2.mp4"]
