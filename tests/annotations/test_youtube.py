"""YouTube's ids in addresses as WLASL and MS-ASL have them."""

import pytest

from wlasl_tfrecord.annotations.youtube import youtube_id


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://www.youtube.com/watch?v=0UsjUE-TXns", "0UsjUE-TXns"),
        ("https://youtu.be/3-GrhsVs830", "3-GrhsVs830"),
        ("www.youtube.com/watch?v=C37R_Ix8-qs", "C37R_Ix8-qs"),
        ("https://m.youtube.com/watch?feature=x&v=0UsjUE-TXns&t=3s", "0UsjUE-TXns"),
        (" https://www.youtube.com/embed/0UsjUE-TXns?start=3 ", "0UsjUE-TXns"),
        ("https://www.youtube.com/shorts/0UsjUE-TXns", "0UsjUE-TXns"),
        ("https://www.youtube.com/watch?v=0UsjUE-TXnsX", None),
        ("https://notyoutube.com/watch?v=0UsjUE-TXns", None),
        ("http://example.org/?u=https://youtu.be/3-GrhsVs830", None),
        ("http://aslbricks.org/New/ASL-Videos/book.mp4", None),
        ("", None),
        (None, None),
    ],
)
def test_the_id_of_a_youtube_address(url, name):
    assert youtube_id(url) == name


def test_every_youtube_address_of_wlasl_has_its_id(wlasl_data):
    # Its own script takes the last eleven characters.
    import json

    content = json.loads((wlasl_data / "annotations" / "WLASL_v0.3.json").read_text())
    urls = [row["url"] for entry in content for row in entry["instances"]]
    youtube = [url for url in urls if "youtube" in url or "youtu.be" in url]
    assert len(youtube) == 5135
    assert [youtube_id(url) for url in youtube] == [url[-11:] for url in youtube]
    assert not any(youtube_id(url) for url in set(urls) - set(youtube))
