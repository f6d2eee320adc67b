"""Archives of many members: what is taken, what is left out, and what is refused."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import stat
import tarfile
import zipfile
from collections.abc import Callable
from typing import BinaryIO

import pyarrow as pa
import pytest

from sensorflow.core.formats import archives
from sensorflow.core.formats.archives import HEAD, archive_kind, is_workbook, opened
from sensorflow.core.profile import Profile
from sensorflow.errors import Code, Permanent

FILES = {"a.csv": b"time,temp\n1,2\n", "sub/b.csv": b"time,temp\n3,4\n"}
Pack = Callable[[bytes], bytes]
PACKINGS: dict[str, Pack] = {
    "tar": lambda data: data,
    "tar, gzip": gzip.compress,
    "tar, bzip2": bz2.compress,
    "tar, xz": lzma.compress,
    "tar, zstd": lambda data: pa.compress(data, "zstd", asbytes=True),
}


def profile(**keys: object) -> Profile:
    names = ("time", "sensor", "type", "value", "unit")
    form = {"format": "csv", **dict(zip(names, names, strict=True))}
    return Profile.model_validate({**form, **keys})


def zipped(files: dict[str, bytes] = FILES) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def tarred(files: dict[str, bytes] = FILES, kind: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=kind) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), 1_700_000_000
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def read(data: bytes, **keys: object) -> dict[str, bytes]:
    archive = opened(io.BytesIO(data), profile(**keys), io.BytesIO)
    archive.check(io.BytesIO)
    return {entry.name: read_all(stream) for entry, stream in archive.read()}


def read_all(stream: BinaryIO) -> bytes:
    return b"".join(iter(lambda: stream.read(1000), b""))


def refused(data: bytes, **keys: object) -> Permanent:
    with pytest.raises(Permanent) as caught:
        read(data, **keys)
    return caught.value


@pytest.mark.parametrize("kind", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
@pytest.mark.parametrize("packing", PACKINGS)
def test_every_member_of_a_tar_is_read(packing: str, kind: int) -> None:
    data = PACKINGS[packing](tarred(kind=kind))
    assert archive_kind(data[:HEAD]) == packing
    assert read(data) == FILES


def test_every_member_of_a_zip_is_read_under_a_plain_name() -> None:
    odd = {"./x//y/../a.csv": b"1", "dir\\b.csv": b"2"}
    assert read(zipped()) == FILES
    assert read(zipped(odd)) == {"x/y/a.csv": b"1", "dir/b.csv": b"2"}


def test_what_is_no_archive_is_told_by_the_bytes() -> None:
    for data in (b"", b"time,temp\n", gzip.compress(b"time,temp\n"), b"\x1f\x8bno", b"ustar"):
        assert archive_kind(data) is None


def test_a_member_is_opened_again_as_often_as_it_is_wanted() -> None:
    for data in (zipped(), gzip.compress(tarred())):
        archive = opened(io.BytesIO(data), profile(), io.BytesIO)
        for entry in reversed(archive.entries * 2):
            assert read_all(archive.open(entry)) == FILES[entry.name]


def test_what_is_no_data_is_left_out_and_counted() -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, kind in (("d", tarfile.DIRTYPE), ("l", tarfile.SYMTYPE), ("h", tarfile.LNKTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            tar.addfile(info)
        for name in ("__MACOSX/._a.csv", "x/.DS_Store", "readme.txt", "a.csv"):
            info = tarfile.TarInfo(name)
            info.size = 1
            tar.addfile(info, io.BytesIO(b"x"))
    archive = opened(io.BytesIO(out.getvalue()), profile(member="*.csv"), io.BytesIO)
    assert [entry.name for entry in archive.entries] == ["a.csv"]
    assert archive.note == (
        "unpacked into 1 file; left out: 2 added by an operating system, 1 folders, "
        "2 links and devices, 1 not matching member = '*.csv'"
    )


def test_a_link_in_a_zip_is_left_out() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        link = zipfile.ZipInfo("link.csv")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("a.csv", "1")
    assert read(out.getvalue()) == {"a.csv": b"1"}


def test_a_tar_that_was_cut_off_or_damaged_anywhere_is_refused() -> None:
    """The module takes each of these for a shorter archive."""
    data = tarred(kind=tarfile.USTAR_FORMAT)
    assert len(data) >= 2048 + 512
    for cut in (512, 700, 1024, 1500, 2048):
        assert refused(data[:cut]).code is Code.UNREADABLE, cut
    damaged = bytearray(data)
    damaged[1024 + 150] ^= 1  # the checksum of the second header
    assert refused(bytes(damaged)).code is Code.UNREADABLE
    assert refused(gzip.compress(data)[:-20]).code is Code.UNREADABLE
    assert "several" in refused(data + data).message


def test_one_broken_member_of_a_zip_refuses_all() -> None:
    data = bytearray(zipped({"a.csv": b"1" * 100, "b.csv": bytes(range(100))}))
    data[data.rindex(b"b.csv", 0, data.index(b"PK\x01\x02")) + 20] ^= 1
    error = refused(bytes(data))
    assert error.code is Code.UNREADABLE
    assert "'b.csv'" in error.message
    assert refused(zipped()[:-30]).code is Code.UNREADABLE


def test_a_long_member_is_read_to_its_end_before_any_is_taken() -> None:
    data = zipped({"a.csv": bytes(HEAD + 1)})
    crc = data.index(b"PK\x01\x02") + 16
    data = data[:crc] + b"\0\0\0\0" + data[crc + 4 :]
    archive = opened(io.BytesIO(data), profile(), io.BytesIO)
    with pytest.raises(Permanent, match=r"a\.csv"):
        archive.check(io.BytesIO)


def test_a_zip_with_a_password_is_refused_by_name() -> None:
    data = bytearray(zipped({"a.csv": b"1"}))
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + place] |= 1
    assert "'a.csv' in the archive is encrypted" in refused(bytes(data)).message


@pytest.mark.parametrize(
    "inner", [zipped(), tarred(), *(pack(tarred()) for pack in PACKINGS.values())]
)
def test_an_archive_within_an_archive_is_refused_by_name(inner: bytes) -> None:
    for outer in (zipped, tarred):
        error = refused(outer({"a.csv": b"1", "deep.bin": inner}))
        assert error.code is Code.ARCHIVE
        assert "'deep.bin'" in error.message


def test_a_compressed_member_and_a_workbook_are_files() -> None:
    packed = {"a.csv.gz": gzip.compress(b"time,temp\n")}
    assert read(zipped(packed)) == packed
    book = zipped({"[Content_Types].xml": b"", "xl/workbook.xml": b""})
    assert is_workbook(io.BytesIO(book))
    assert not is_workbook(io.BytesIO(zipped()))
    assert read(zipped({"a.xlsx": book}), format="xlsx") == {"a.xlsx": book}
    assert "'a.zip'" in refused(zipped({"a.zip": zipped()}), format="xlsx").message


def test_two_members_of_one_name_are_refused() -> None:
    twice = zipped({"a.csv": b"1", "b.csv": b"2"}).replace(b"b.csv", b"a.csv")
    assert "two files named 'a.csv'" in refused(twice).message
    composed = {"\u00fc.csv": b"1", "u\u0308.csv": b"2"}
    assert "two files" in refused(tarred(composed)).message


def test_an_archive_without_a_wanted_member_is_refused() -> None:
    error = refused(zipped(), member="*.dat")
    assert error.code is Code.ARCHIVE
    assert "2 not matching member = '*.dat'" in error.message
    assert refused(zipped({})).code is Code.ARCHIVE


@pytest.mark.parametrize("name", ["..", "x" * 256, "/".join(["y" * 100] * 20)])
def test_a_name_that_cannot_be_kept_is_refused(name: str) -> None:
    assert refused(tarred({name: b"1"})).code is Code.ARCHIVE


def test_all_members_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {f"{n}.csv": bytes(100_000) for n in range(5)}
    for data in (zipped(files), tarred(files), gzip.compress(tarred(files))):
        assert refused(data, max_decompressed=450_000).code is Code.TOO_LARGE
    monkeypatch.setattr(archives, "GRACE", 1000)
    assert "bomb" in refused(zipped(files), max_ratio=100).message
    monkeypatch.setattr(archives, "MAX_MEMBERS", 4)
    assert "more than 4 files" in refused(zipped(files)).message


def test_a_huge_header_is_not_read_into_memory() -> None:
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 5 << 20
    data = info.tobuf(tarfile.GNU_FORMAT) + bytes(5 << 20) + bytes(1024)
    assert "a header of the tar archive" in refused(data).message
